"""Instructions for convolutions and means over windows, channels last in memory.

Of one axis they are those of images one pixel high.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from onnx2snn.runtime.linear.arguments import per_axis
from onnx2snn.runtime.linear.convolution import transposed_pads, window_pads
from onnx2snn.runtime.linear.pooling import averages, cells_of
from onnx2snn.runtime.program.geometry import Axis, Geometry, tables, together
from onnx2snn.runtime.program.moves import ordered, pointwise
from onnx2snn.runtime.program.product import check_size, panels
from onnx2snn.runtime.program.signal import Signal, UnsupportedError, dense
from onnx2snn.runtime.program.step import BoundStep
from onnx2snn.runtime.program.sums import Sums
from onnx2snn.runtime.program.writer import Writer, at
from onnx2snn.runtime.vectors import LANES

# A place of an axis that a signal does not have.
_POINT = Axis(1, 1, 1, 1, 0, 1)


def _rank(step: BoundStep) -> int:
    """The number of axes that windows move along."""
    rank = step.signal.view.dim() - 3
    if rank not in (1, 2):
        raise UnsupportedError("windows over more than two axes")
    return rank


def _geometry(
    step: BoundStep, weights: Tensor, pads: Sequence[int], *, transposed: bool = False
) -> Geometry:
    """For filters [outputs, depth, *window]."""
    attributes, shape, rank = step.node.attributes, step.signal.view.shape, _rank(step)
    strides = per_axis(attributes, "strides", rank, 1)
    dilations = per_axis(attributes, "dilations", rank, 1)
    parts = (shape[3:], weights.shape[2:], strides, dilations, pads, step.result[2:])
    plain = [Axis(*values) for values in zip(*parts, strict=True)]
    axes = [replace(axis, transposed=transposed) for axis in plain]
    return Geometry(shape[2], weights.shape[0], *[_POINT, *axes][-2:])


def convolution(writer: Writer, step: BoundStep) -> Signal:
    """A convolution in groups; one filter per channel has a kernel of its own."""
    weights, rank = step.constant(1), _rank(step)
    attributes, sizes = step.node.attributes, step.signal.view.shape[3:]
    strides = per_axis(attributes, "strides", rank, 1)
    dilations = per_axis(attributes, "dilations", rank, 1)
    pads = window_pads(sizes, weights.shape[2:], strides, dilations, attributes)
    if min(pads) < 0:
        raise UnsupportedError("negative padding")
    return _convolved(writer, step, weights, _geometry(step, weights, pads[:rank]))


def transposed_convolution(writer: Writer, step: BoundStep) -> Signal:
    """The adjoint of a convolution: each place of the result reads what would have read it."""
    weights, rank = step.constant(1), _rank(step)
    groups = int(step.node.attributes.get("group", 1))
    by_group = weights.reshape(groups, -1, *weights.shape[1:]).transpose(1, 2)
    filters = by_group.reshape(-1, *by_group.shape[2:])
    sizes = step.signal.view.shape[3:]
    pads = transposed_pads(sizes, weights.shape[2:], step.node.attributes)
    geometry = _geometry(step, filters, pads[:rank], transposed=True)
    return _convolved(writer, step, filters, geometry)


def _convolved(writer: Writer, step: BoundStep, weights: Tensor, geometry: Geometry) -> Signal:
    check_size(weights)
    groups = int(step.node.attributes.get("group", 1))
    pack = _per_channel if _alone(geometry, groups) else _per_group
    packed = writer.packed(step.index, lambda: pack(weights, groups))
    return _filtered(writer, step.signal, geometry, groups, packed)


def average(writer: Writer, step: BoundStep) -> Signal:
    """Means over windows: a filter of ones for every channel, divided by the cells."""
    shape = step.signal.view.shape
    windows = averages(shape[-_rank(step) :], step.node.attributes)
    axes = [
        Axis(size, a.width, a.stride, a.dilation, a.begin, len(a.cells))
        for size, a in zip(shape[3:], windows, strict=True)
    ]
    geometry = Geometry(shape[2], shape[2], *[_POINT, *axes][-2:])
    ones = torch.ones(shape[2], 1, *(a.width for a in windows))
    packed = writer.packed(step.index, lambda: _per_channel(ones, shape[2]))
    sums = _filtered(writer, step.signal, geometry, shape[2], packed)
    return pointwise(writer, "divide", sums, cells_of(windows))


def _alone(geometry: Geometry, groups: int) -> bool:
    return groups == geometry.outputs == geometry.channels


def _filtered(
    writer: Writer, signal: Signal, geometry: Geometry, groups: int, packed: int
) -> Signal:
    rank, alone = signal.view.dim() - 3, _alone(geometry, groups)
    if rank == 1:
        signal = signal.seen(signal.view.unsqueeze(3))
    signal = ordered(writer, signal, (0, 2, 3, 1))
    steps, batch = signal.view.shape[:2]
    depth, outputs = geometry.channels // groups, geometry.outputs
    kinds = geometry.kinds(depth)
    shape = (steps, batch, outputs, geometry.rows.result, geometry.columns.result)
    result = writer.new(dense(shape, (0, 1, 3, 4, 2)))
    images = (steps * batch, geometry.stride, geometry.spread, geometry.bunch(len(kinds), alone))
    if alone:
        sizes = (together(geometry.taps), len(kinds), geometry.taps, depth, 1, groups, 1)
        places = (*tables(writer, kinds), at(signal), packed, at(result))
        writer.emit("depthwise", *images, *sizes, *places)
    else:
        filters = (geometry.taps, depth, 1, groups, outputs // groups)
        sums = Sums(*images, geometry.channels, *filters)
        sums.emit(writer, kinds, signal, packed, result)
    return result.seen(result.view.squeeze(3)) if rank == 1 else result


def _per_group(weights: Tensor, groups: int) -> Tensor:
    """Weights [outputs, depth, *window] in panels, taps before depth."""
    columns, depth = weights.shape[0] // groups, weights.shape[1]
    grouped = weights.reshape(groups, columns, depth, -1).permute(0, 3, 2, 1)
    return panels(grouped.reshape(groups, -1, columns))


def _per_channel(weights: Tensor, channels: int) -> Tensor:
    """Weights [channels, 1, *window] as [taps, channels], in whole vectors of channels."""
    by_tap = weights.reshape(channels, -1).t()
    padded = by_tap.new_zeros(by_tap.shape[0], -(-channels // LANES) * LANES)
    padded[:, :channels] = by_tap
    return padded
