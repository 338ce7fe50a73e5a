"""Max pooling over random geometry: the tree of maximum sites is exact max pooling."""

from __future__ import annotations

from math import prod
from operator import ge
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from operator_row import Array, Row, f, global_pool
from single_node import feed, lowered_result, run_node, source_result, spiking_node

from onnx2snn.ops import BY_SOURCE
from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.max_pool import LOWEST
from onnx2snn.ops.node import Node


def same_result(row: Row) -> Array:
    """MaxPool-22 with auto_pad SAME spelled out; windows without any member hold -inf."""
    x = feed(row)["x0"]
    upper = row.attributes["auto_pad"] == "SAME_UPPER"
    for axis in range(2, x.ndim):
        keys = ("kernel_shape", "strides", "dilations")
        kernel, stride, dilation = (row.attributes[key][axis - 2] for key in keys)
        size = x.shape[axis]
        count = -(-size // stride)
        padding = max((count - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
        begin = padding // 2 if upper else padding - padding // 2
        before = [*[(0, 0)] * axis, (begin, padding), *[(0, 0)] * (x.ndim - axis - 1)]
        padded = np.pad(x, before, constant_values=-np.inf)
        members = [
            padded.take([i * stride + m * dilation for i in range(count)], axis=axis)
            for m in range(kernel)
        ]
        x = np.max(members, axis=0)
    return x


@given(data=st.data())
@settings(max_examples=120, deadline=None)
def test_geometry(data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 3))

    def draw(low: int, high: int, count: int = rank) -> list[int]:
        return data.draw(st.lists(st.integers(low, high), min_size=count, max_size=count))

    mode = data.draw(st.sampled_from(["NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    attributes: dict[str, Any] = {
        "kernel_shape": draw(1, 5 if rank < 3 else 3),
        "strides": draw(1, 4),
        "ceil_mode": data.draw(st.integers(0, 1)) if mode == "NOTSET" else 0,
        "auto_pad": mode,
        "dilations": draw(1, 3),
    }
    if mode == "NOTSET":
        attributes["pads"] = draw(0, 4, 2 * rank)
    shape = draw(1, 9 if rank < 3 else 5)
    geometry = zip(attributes["dilations"], attributes["kernel_shape"], strict=True)
    reach = [dilation * (kernel - 1) + 1 for dilation, kernel in geometry]
    pads = attributes.get("pads", [0] * 2 * rank)
    padded = [size + pads[i] + pads[i + rank] for i, size in enumerate(shape)]
    # onnxruntime lets a window larger than the padded tensor stick out of it.
    assume(mode.startswith("SAME") or all(map(ge, padded, reach)))
    extra = {
        "sites": data.draw(st.sampled_from(["tree", "fused"])),
        "floor": data.draw(st.sampled_from([LOWEST, 0.0, -0.5])),
    }
    row = Row("MaxPool", (f(1, 2, *shape),), attributes, extra)
    # onnxruntime 1.31 forgets dilations when it computes the padding of SAME.
    forgetful = mode.startswith("SAME") and max(attributes["dilations"]) > 1
    try:
        expected = same_result(row) if forgetful else source_result(row)
    except Exception:
        assert not forgetful
        return  # onnxruntime refuses the geometry
    if not expected.size or (expected < -1e30).any():
        with pytest.raises(ModelError, match=r"larger than its padded|entirely in the padding"):
            lowered_result(row)
        return
    expected = np.maximum(expected, np.float32(extra["floor"]))
    np.testing.assert_array_equal(lowered_result(row), expected)
    if not forgetful:
        np.testing.assert_array_equal(body_result(row), expected)


def body_result(row: Row) -> Array:
    """What onnxruntime makes of the spiking node."""
    node, parameters = spiking_node(row)
    return run_node(node, row, parameters)


@given(
    extents=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    sites=st.sampled_from(["tree", "fused"]),
)
@settings(max_examples=25, deadline=None)
def test_global_pooling_of_any_extent(extents: list[int], sites: str) -> None:
    row = global_pool(2, 2, *extents, sites=sites)
    expected = np.max(feed(row)["x0"], axis=tuple(range(2, 2 + len(extents))), keepdims=True)
    np.testing.assert_array_equal(lowered_result(row), expected)


@pytest.mark.parametrize(
    ("size", "depth"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (8, 3), (9, 4)]
)
def test_a_window_is_a_balanced_tree(size: int, depth: int) -> None:
    node = Node("SpikingMaxPool", ("x",), ("y",), {"kernel_shape": [size]}, "pool")
    assert len(BY_SOURCE["MaxPool"].lower(node).sites) == depth


@pytest.mark.parametrize(
    ("kernel", "names"),
    [([5], ["window"]), ([3, 3], ["window"]), ([2, 5], ["rows", "columns"]), ([12], ["columns"])],
)
def test_fused_sites_take_whole_windows(kernel: list[int], names: list[str]) -> None:
    attributes = {"kernel_shape": kernel, "sites": "fused"}
    node = Node("SpikingMaxPool", ("x",), ("y",), attributes, "pool")
    sites = BY_SOURCE["MaxPool"].lower(node).sites
    assert [site.name for site in sites] == [f"pool/{name}" for name in names]
    windowed = [site.target.windowed for site in sites]
    assert prod(w.windows.size for w in windowed if w) == prod(kernel)
