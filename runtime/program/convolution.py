"""Instructions for convolutions over two axes, channels last in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from onnx2snn.runtime.linear.arguments import per_axis
from onnx2snn.runtime.linear.convolution import window_pads
from onnx2snn.runtime.program.moves import ordered
from onnx2snn.runtime.program.product import BUNCH, check_size, panels
from onnx2snn.runtime.program.signal import Signal, UnsupportedError, dense
from onnx2snn.runtime.program.step import BoundStep
from onnx2snn.runtime.program.writer import Place, Writer, at
from onnx2snn.runtime.vectors import LANES


@dataclass(frozen=True)
class Geometry:
    """Where a convolution reads: sizes of its images, with `pads` around, and of its results."""

    channels: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, ...]
    result: tuple[int, int]

    @property
    def whole(self) -> tuple[int, int]:
        """Height and width with the padding."""
        (height, width), pads = self.size, self.pads
        return height + pads[0] + pads[2], width + pads[1] + pads[3]

    def places(self, sizes: Sequence[int], steps: Sequence[int]) -> Tensor:
        """Offsets, within a padded image, of places so many steps apart."""
        line = self.whole[1] * self.channels
        rows = torch.arange(sizes[0]) * steps[0] * line
        columns = torch.arange(sizes[1]) * steps[1] * self.channels
        return (rows[:, None] + columns).flatten().contiguous()

    @property
    def bunch(self) -> int:
        """Images that share a panel of weights."""
        return max(1, -(-BUNCH // prod(self.result)))

    @property
    def room(self) -> int:
        """Numbers of scratch memory that one thread needs."""
        return self.bunch * prod(self.whole) * self.channels if any(self.pads) else 0

    def words(self, images: int, depth: int, groups: int, columns: int) -> tuple[int, ...]:
        """The arguments of the kernels."""
        stride = prod(self.size) * self.channels
        shape = (images, stride, prod(self.result), self.bunch, prod(self.kernel))
        padding = (*self.pads[:2], *(self.whole if any(self.pads) else (0, 0)), self.room)
        return (*shape, depth, groups, columns, *self.size, self.channels, *padding)


def _pair(values: Sequence[int]) -> tuple[int, int]:
    return values[0], values[1]


def _geometry(step: BoundStep, weights: Tensor) -> Geometry:
    attributes, shape = step.node.attributes, step.signal.view.shape
    if len(shape) != 5:
        raise UnsupportedError("a convolution over other than two axes")
    strides = per_axis(attributes, "strides", 2, 1)
    dilations = per_axis(attributes, "dilations", 2, 1)
    pads = window_pads(shape[3:], weights.shape[2:], strides, dilations, attributes)
    if min(pads) < 0:
        raise UnsupportedError("negative padding")
    return Geometry(
        channels=shape[2],
        size=_pair(shape[3:]),
        kernel=_pair(weights.shape[2:]),
        strides=_pair(strides),
        dilations=_pair(dilations),
        pads=tuple(pads),
        result=_pair(step.result[2:]),
    )


def convolution(writer: Writer, step: BoundStep) -> Signal:
    """A convolution in groups; one filter per channel has a kernel of its own."""
    weights = step.constant(1)
    check_size(weights)
    geometry, groups = _geometry(step, weights), int(step.node.attributes.get("group", 1))
    outputs, depth = weights.shape[:2]
    alone = groups == outputs == geometry.channels
    signal = ordered(writer, step.signal, (0, 2, 3, 1))
    pack = _per_channel if alone else _per_group
    addresses = (
        writer.constant(geometry.places(geometry.result, geometry.strides)),
        writer.constant(geometry.places(geometry.kernel, geometry.dilations)),
        at(signal),
        writer.packed(step.index, lambda: pack(weights, groups)),
    )
    steps, batch = signal.view.shape[:2]
    words = geometry.words(steps * batch, depth, groups, outputs // groups)
    scratch = writer.room(geometry.room * writer.threads)
    result = writer.new(dense((steps, batch, outputs, *geometry.result), (0, 1, 3, 4, 2)))
    kernel = "depthwise" if alone else "product"
    writer.emit(kernel, *words, *addresses, Place(scratch, 0), at(result))
    return result


def _per_group(weights: Tensor, groups: int) -> Tensor:
    """Weights [outputs, depth, height, width] in panels, taps before depth."""
    columns = weights.shape[0] // groups
    grouped = weights.reshape(groups, columns, *weights.shape[1:]).permute(0, 3, 4, 2, 1)
    return panels(grouped.reshape(groups, -1, columns))


def _per_channel(weights: Tensor, channels: int) -> Tensor:
    """Weights [channels, 1, height, width] as [taps, channels], in whole vectors of channels."""
    by_tap = weights.reshape(channels, -1).t()
    padded = by_tap.new_zeros(by_tap.shape[0], -(-channels // LANES) * LANES)
    padded[:, :channels] = by_tap
    return padded
