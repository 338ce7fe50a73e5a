"""Which neurons share a schedule: those of a channel, or of a row where rows lie apart."""

from __future__ import annotations

import pytest
import torch

from onnx2snn.calibration.rows import APART, axis_of_schedules


def target(rows: list[float], channels: list[float]) -> torch.Tensor:
    """f* of eight samples, with the given sizes of rows and channels."""
    noise = torch.randn(8, len(rows), len(channels), generator=torch.Generator().manual_seed(0))
    return noise * torch.tensor(rows).unsqueeze(1) * torch.tensor(channels)


@pytest.mark.parametrize(
    ("rows", "channels", "expected"),
    [
        ([1.0] * 12, [1.0] * 16, -1),
        ([1.0, *[4 * APART] * 11], [1.0] * 16, -2),
        ([0.0, *[1.0] * 11], [1.0] * 16, -1),
        ([1.0, *[4 * APART] * 11], [1.0, *[40 * APART] * 15], -1),
    ],
    ids=["alike", "one apart", "one silent", "channels further apart"],
)
def test_rows_have_schedules_of_their_own_where_they_lie_further_apart(
    rows: list[float], channels: list[float], expected: int
) -> None:
    assert axis_of_schedules(target(rows, channels), -1) == expected


@pytest.mark.parametrize(("shape", "axis"), [((8, 4, 5), -2), ((8, 4, 5, 6), -1), ((8, 4), None)])
def test_other_axes_stay_as_they_are(shape: tuple[int, ...], axis: int | None) -> None:
    values = torch.ones(shape)
    values[:, 0] = 1e-6
    assert axis_of_schedules(values, axis) == axis
