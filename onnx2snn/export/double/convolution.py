"""Conv and ConvTranspose in float64: members of all windows side by side, times the weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from onnx2snn.export.double.sliding import Sliding, pad, sliding, spatial_sizes
from onnx2snn.export.writer import Array, Writer
from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.linear.arguments import per_axis


def _weights(writer: Writer, name: str) -> Array:
    array = writer.array(name)
    if array is None:
        raise ModelError(
            "weights that are computed cannot be exported in float64; use --precision float32"
        )
    return array


def write_conv(writer: Writer, inputs: Sequence[str], attributes: Mapping[str, Any]) -> str:
    """Conv: y = w * x + b."""
    weights = _weights(writer, inputs[1])
    windows = sliding(weights.shape[2:], attributes, writer.shapes.get(inputs[0]))
    y = _correlate(writer, inputs[0], weights, windows, int(attributes.get("group", 1)))
    return _biased(writer, y, inputs, len(windows.kernel))


def _biased(writer: Writer, y: str, inputs: Sequence[str], rank: int) -> str:
    if len(inputs) < 3 or not inputs[2]:
        return y
    bias = writer.constant(_weights(writer, inputs[2]).reshape(-1, *[1] * rank), "bias")
    return writer.call("Add", y, bias, hint="Conv")


def _correlate(writer: Writer, x: str, weights: Array, windows: Sliding, group: int) -> str:
    """With x [N, G C, ..] cut into members [N, G, K C, L], y = w [G, M, K C] x [N, G, K C, L]."""
    const, call = writer.constant, writer.call
    outputs, channels = weights.shape[0] // group, weights.shape[1]
    members, sizes = prod(windows.kernel), None
    padded = pad(writer, x, windows.pads)
    columns = []
    for position in windows.members():
        part = windows.member(writer, padded, position)
        if sizes is None:
            sizes = call("Shape", part, start=2)
        columns.append(call("Reshape", part, const([0, group, channels, -1])))
    joined = columns[0] if members == 1 else writer.emit("Concat", columns, {"axis": 2})[0]
    last = np.moveaxis(weights.reshape(group, outputs, channels, members), 3, 2)
    matrix = last.reshape(group, outputs, members * channels)
    y = call("MatMul", const(matrix, "weights"), joined, hint="Conv")
    assert sizes is not None
    shape = writer.emit("Concat", [const([0, group * outputs]), sizes], {"axis": 0})[0]
    return call("Reshape", y, shape, hint="Conv")


def write_conv_transpose(
    writer: Writer, inputs: Sequence[str], attributes: Mapping[str, Any]
) -> str:
    """ConvTranspose: zeros between the cells, then Conv with the kernel turned round."""
    weights = _weights(writer, inputs[1])
    rank, group = weights.ndim - 2, int(attributes.get("group", 1))
    plain = {key: attributes[key] for key in ("dilations",) if key in attributes}
    windows = sliding(weights.shape[2:], plain, None)
    strides = per_axis(attributes, "strides", rank, 1)
    extra = per_axis(attributes, "output_padding", rank, 0)
    pads = _transposed_pads(writer, inputs[0], windows, strides, extra, attributes)
    begin = [reach - p for reach, p in zip(windows.reach, pads[:rank], strict=True)]
    end = [
        reach - p + added - (stride - 1)
        for reach, p, added, stride in zip(windows.reach, pads[rank:], extra, strides, strict=True)
    ]
    windows = replace(windows, pads=(*begin, *end))
    turned = np.flip(weights, tuple(range(2, rank + 2)))
    turned = turned.reshape(group, -1, *weights.shape[1:]).swapaxes(1, 2)
    turned = turned.reshape(group * weights.shape[1], -1, *weights.shape[2:])
    spread = _spread(writer, inputs[0], strides)
    y = _correlate(writer, spread, np.ascontiguousarray(turned), windows, group)
    return _biased(writer, y, inputs, rank)


def _spread(writer: Writer, x: str, strides: Sequence[int]) -> str:
    """`stride` - 1 zeros behind every cell along each spatial axis."""
    const, call = writer.constant, writer.call
    for axis, stride in enumerate(strides, 2):
        if stride == 1:
            continue
        factors = [stride if i == axis else 1 for i in range(len(strides) + 2)]
        shape = call("Mul", call("Shape", x), const(factors))
        lone = call("Unsqueeze", x, const([axis + 1]))
        padded = call("Pad", lone, const([0, stride - 1]), const(0.0), const([axis + 1]))
        x = call("Reshape", padded, shape, hint="spread")
    return x


def _transposed_pads(
    writer: Writer,
    x: str,
    windows: Sliding,
    strides: Sequence[int],
    extra: Sequence[int],
    attributes: Mapping[str, Any],
) -> list[int]:
    """Pads [b1, b2, .., e1, e2, ..] that cut the whole output."""
    rank, mode = len(strides), attributes.get("auto_pad", "NOTSET")
    wanted = list(attributes.get("output_shape") or ())[-rank:]
    if not wanted and mode in ("NOTSET", "VALID"):
        return per_axis(attributes, "pads", 2 * rank, 0) if mode == "NOTSET" else [0] * (2 * rank)
    sizes = spatial_sizes(writer.shapes.get(x), f"auto_pad {mode}")
    whole = [
        stride * (size - 1) + added + reach + 1
        for size, stride, added, reach in zip(sizes, strides, extra, windows.reach, strict=True)
    ]
    if not wanted:
        wanted = [min(n * s, full) for n, s, full in zip(sizes, strides, whole, strict=True)]
    totals = [full - size for full, size in zip(whole, wanted, strict=True)]
    small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
    return small + large if mode == "SAME_UPPER" else large + small
