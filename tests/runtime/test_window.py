"""Window: members of sliding windows, moved to the nearest member inside the tensor."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.linear import LINEAR

NO_PADDING: dict[str, Any] = {
    "axis": -1,
    "stride": 1,
    "dilation": 1,
    "pads": [0, 0],
    "ceil_mode": 0,
    "auto_pad": "NOTSET",
}


def members(length: int, kernel: int, **geometry: Any) -> list[list[int]]:
    """Per member of the window, the position it takes in every window."""
    attributes = {**NO_PADDING, "kernel": kernel, "members": list(range(kernel)), **geometry}
    x = torch.arange(length, dtype=torch.float32)
    (result,) = LINEAR["Window"].apply([x], attributes)
    rows: list[list[int]] = result.to(torch.int64).reshape(len(attributes["members"]), -1).tolist()
    return rows


def test_members_follow_one_another() -> None:
    assert members(5, 2) == [[0, 1, 2, 3], [1, 2, 3, 4]]
    assert members(5, 2, stride=2) == [[0, 2], [1, 3]]
    assert members(6, 3, stride=2, members=[2, 0]) == [[2, 4], [0, 2]]
    assert members(7, 3, dilation=3) == [[0], [3], [6]]


def test_members_in_the_padding_move_to_the_nearest_inside() -> None:
    # Windows [-1, 0, 1], [0, 1, 2], [1, 2, 3], with 3 outside.
    assert members(3, 3, pads=[1, 1]) == [[0, 0, 1], [0, 1, 2], [1, 2, 2]]
    # Two steps outside on either side.
    assert members(2, 3, pads=[2, 2]) == [[0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 1, 1]]


def test_a_dilated_member_moves_in_whole_steps() -> None:
    """A position between the members of its own window would change the maximum."""
    # Windows [-1, 1], [0, 2], [1, 3], [2, 4] of length 4: -1 becomes 1, and 4 becomes 2.
    assert members(4, 2, dilation=2, pads=[1, 1]) == [[1, 0, 1, 2], [1, 2, 3, 2]]
    # [-2, 1, 4] of length 4: -2 becomes 1, 4 becomes 1.
    assert members(4, 3, dilation=3, pads=[2, 1])[0][0] == 1
    assert members(4, 3, dilation=3, pads=[2, 1])[2][0] == 1


def test_ceil_mode_adds_the_last_window_unless_it_starts_in_the_padding() -> None:
    assert members(6, 3, stride=2) == [[0, 2], [1, 3], [2, 4]]
    assert members(6, 3, stride=2, ceil_mode=1) == [[0, 2, 4], [1, 3, 5], [2, 4, 5]]
    # The third window would start at 6 = length: in the padding. With a pad before, at 5.
    assert members(6, 2, stride=3, pads=[0, 1], ceil_mode=1) == [[0, 3], [1, 4]]
    assert members(6, 2, stride=3, pads=[1, 0], ceil_mode=1) == [[0, 2, 5], [0, 3, 5]]
    assert members(6, 2, stride=3, pads=[1, 0], ceil_mode=0) == [[0, 2], [0, 3]]


def test_same_padding_covers_every_stride() -> None:
    # Length 5, stride 2: three windows, total padding 1 for kernel 2.
    assert members(5, 2, stride=2, auto_pad="SAME_UPPER") == [[0, 2, 4], [1, 3, 4]]
    assert members(5, 2, stride=2, auto_pad="SAME_LOWER") == [[0, 1, 3], [0, 2, 4]]
    # Even padding lies on both sides.
    assert members(3, 3, auto_pad="SAME_UPPER") == members(3, 3, auto_pad="SAME_LOWER")
    # A dilated kernel reaches further.
    assert members(5, 2, dilation=2, auto_pad="SAME_UPPER")[0] == [1, 0, 1, 2, 3]
    # A stride beyond the kernel needs none, and explicit pads are ignored.
    assert members(6, 1, stride=4, auto_pad="SAME_UPPER", pads=[3, 3]) == [[0, 4]]


def test_valid_ignores_pads() -> None:
    assert members(4, 2, auto_pad="VALID", pads=[1, 1]) == members(4, 2)


def test_any_axis_counted_from_the_last() -> None:
    x = torch.arange(24.0).reshape(2, 3, 4)
    attributes = {**NO_PADDING, "axis": -2, "kernel": 2, "members": [1]}
    (result,) = LINEAR["Window"].apply([x], attributes)
    assert torch.equal(result, x[:, 1:])


def test_windows_that_cannot_be() -> None:
    with pytest.raises(ModelError, match="larger than its padded input of 2"):
        members(2, 4, pads=[1, 0])
    with pytest.raises(ModelError, match="entirely in the padding"):
        members(2, 2, dilation=3, pads=[1, 1])
    with pytest.raises(ModelError, match="entirely in the padding"):
        members(3, 2, pads=[2, 0])
    with pytest.raises(ModelError, match="entirely in the padding"):
        members(5, 2, dilation=3, pads=[4, 0])
    with pytest.raises(ModelError, match="entirely in the padding"):
        members(3, 1, stride=3, pads=[0, 2], ceil_mode=1)


def test_time_folds_into_the_batch_axis_and_increments_are_linear() -> None:
    attributes = {**NO_PADDING, "kernel": 3, "members": [0, 2], "pads": [1, 1]}
    assert LINEAR["Window"].batched and LINEAR["Window"].is_linear_in(frozenset({0}))
    one, two = torch.randn(2, 3, 5), torch.randn(2, 3, 5)
    apply = LINEAR["Window"].apply
    both = apply([torch.cat([one, two])], attributes)[0]
    assert torch.equal(both, torch.cat([apply([x], attributes)[0] for x in (one, two)]))
    mixed = apply([one - two], attributes)[0]
    assert torch.equal(mixed, apply([one], attributes)[0] - apply([two], attributes)[0])
