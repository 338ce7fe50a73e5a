"""Averages and norms of windows in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from math import prod
from typing import Any

import numpy as np

from onnx2snn.export.double.sliding import Sliding, known_rank, pad, sliding, spatial_sizes
from onnx2snn.export.writer import Writer
from onnx2snn.runtime.linear.arguments import needed_attribute


def _sum(writer: Writer, x: str, windows: Sliding) -> str:
    """Sums of all windows of padded data."""
    parts = [windows.member(writer, x, position) for position in windows.members()]
    return reduce(lambda a, b: writer.call("Add", a, b, hint="sums"), parts)


def write_average_pool(writer: Writer, inputs: Sequence[str], attributes: Mapping[str, Any]) -> str:
    """AveragePool: sum of a window / number of its cells."""
    windows, surplus = _pooled(writer, inputs[0], attributes)
    padding = _padding(windows, surplus)
    sums = _sum(writer, pad(writer, inputs[0], padding), windows)
    counted = bool(attributes.get("count_include_pad", 0))
    if not any(padding) or (counted and not any(surplus)):
        cells = writer.constant(float(prod(windows.kernel)))
        return writer.call("Div", sums, cells, hint="AveragePool")
    return writer.call("Div", sums, _cells(writer, inputs[0], windows, surplus, counted))


def write_lp_pool(writer: Writer, inputs: Sequence[str], attributes: Mapping[str, Any]) -> str:
    """LpPool: (sum of |x|^p over a window)^(1/p), padding counted as 0."""
    windows, surplus = _pooled(writer, inputs[0], attributes)
    p = int(attributes.get("p", 2))
    powers = pad(writer, _powers(writer, inputs[0], p), _padding(windows, surplus))
    return _root(writer, _sum(writer, powers, windows), p, "LpPool")


def write_global_lp_pool(
    writer: Writer, inputs: Sequence[str], attributes: Mapping[str, Any]
) -> str:
    """GlobalLpPool: (sum of |x|^p over all axes but the first two, kept with size 1)^(1/p)."""
    axes = writer.constant(list(range(2, known_rank(writer, inputs[0]))))
    p = int(attributes.get("p", 2))
    sums = writer.call("ReduceSum", _powers(writer, inputs[0], p), axes)
    return _root(writer, sums, p, "GlobalLpPool")


def _powers(writer: Writer, x: str, p: int) -> str:
    """|x|^p."""
    if p == 2:
        return writer.call("Mul", x, x)
    size = writer.call("Abs", x)
    return size if p == 1 else writer.call("Pow", size, writer.constant(float(p)))


def _root(writer: Writer, x: str, p: int, hint: str) -> str:
    """x^(1/p)."""
    if p == 1:
        return x
    if p == 2:
        return writer.call("Sqrt", x, hint=hint)
    return writer.call("Pow", x, writer.constant(1 / p), hint=hint)


def _pooled(writer: Writer, x: str, attributes: Mapping[str, Any]) -> tuple[Sliding, list[int]]:
    """The windows of a pooling node, and cells to add at the end beyond the pads."""
    kernel = needed_attribute(attributes, "kernel_shape")
    windows = sliding(kernel, attributes, writer.shapes.get(x))
    if attributes.get("ceil_mode", 0):
        return _ceiled(writer, x, windows)
    return windows, [0] * len(kernel)


def _padding(windows: Sliding, surplus: Sequence[int]) -> list[int]:
    rank = len(surplus)
    ends = [end + more for end, more in zip(windows.pads[rank:], surplus, strict=True)]
    return [*windows.pads[:rank], *ends]


def _cells(writer: Writer, x: str, windows: Sliding, surplus: Sequence[int], counted: bool) -> str:
    """Cells that each window averages over, padding among them where `counted`."""
    sizes = writer.call("Shape", x, start=2)
    shape = writer.emit("Concat", [writer.constant([1, 1]), sizes], {"axis": 0})[0]
    ones = writer.call("ConstantOfShape", shape, value=np.ones(1, writer.dtype))
    inner = pad(writer, ones, windows.pads, 1.0 if counted else 0.0)
    return _sum(writer, pad(writer, inner, [*[0] * len(surplus), *surplus]), windows)


def _ceiled(writer: Writer, x: str, windows: Sliding) -> tuple[Sliding, list[int]]:
    """Windows, and cells to add at the end, where the last window may reach beyond the pads.

    No window starts in the padding at the end.
    """
    sizes = spatial_sizes(writer.shapes.get(x), "ceil_mode")
    rank, surplus = len(sizes), []
    ends = list(windows.pads[rank:])
    for axis, (size, reach, stride) in enumerate(
        zip(sizes, windows.reach, windows.strides, strict=True)
    ):
        begin = windows.pads[axis]
        room = size + begin + ends[axis] - reach - 1
        count = -(-room // stride) + 1
        if (count - 1) * stride >= size + begin:
            count -= 1
        missing = (count - 1) * stride - room
        surplus.append(max(missing, 0))
        ends[axis] += min(missing, 0)
    return replace(windows, pads=(*windows.pads[:rank], *ends)), surplus


def write_global_average_pool(
    writer: Writer, inputs: Sequence[str], attributes: Mapping[str, Any]
) -> str:
    """GlobalAveragePool: the mean over all axes but the first two, kept with size 1."""
    axes = writer.constant(list(range(2, known_rank(writer, inputs[0]))))
    return writer.call("ReduceMean", inputs[0], axes, hint="GlobalAveragePool")


def write_mean(writer: Writer, inputs: Sequence[str], attributes: Mapping[str, Any]) -> str:
    """Mean: (x_1 + .. + x_n) / n."""
    total = reduce(lambda a, b: writer.call("Add", a, b, hint="total"), inputs)
    return writer.call("Div", total, writer.constant(float(len(inputs))), hint="Mean")
