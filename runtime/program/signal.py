"""Tensors of a block of time steps, while a program is written: where numbers will lie, no data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from onnx2snn.runtime.program.source import DIMENSIONS


class UnsupportedError(Exception):
    """A step that programs know no instruction for."""


@dataclass(frozen=True)
class Spikes:
    """Binary spikes behind increments.

    Number n of time step t is, in the order of memory,

        increment = (-1) ** bit[n] * step_sizes[t, n % S] * factor[n % F]

    bits:       a bit for each number.
    step_sizes: shape [T, S]; S is a multiple of 8.
    factor:     shape [F]; None for 1.
    period:     numbers after which step sizes and factors repeat.
    """

    bits: Buffer
    step_sizes: Tensor
    period: int
    factor: Tensor | None = None


@dataclass(eq=False)
class Buffer:
    """Memory for `size` numbers, needed from instruction `first` to instruction `last`.

    spikes: what the numbers are, where they are weighted binary spikes.
    """

    size: int
    first: int
    last: int
    spikes: Spikes | None = None


@dataclass(frozen=True)
class Signal:
    """Increments over a block, [steps, *shape]: a view, on PyTorch's meta device, of a buffer."""

    buffer: Buffer
    view: Tensor

    @property
    def whole(self) -> bool:
        """Whether the view is all of the buffer."""
        return self.view.numel() == self.buffer.size and not self.view.storage_offset()

    def seen(self, view: Tensor) -> Signal:
        """The same numbers in another view."""
        return Signal(self.buffer, view)


@dataclass(frozen=True)
class Axes:
    """Axes of several strided tensors of one shape, merged where all of them allow it."""

    sizes: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]

    def words(self) -> tuple[int, ...]:
        """Sizes, then the strides of each tensor, as kernels read them."""
        missing = DIMENSIONS - len(self.sizes)
        if missing < 0:
            raise UnsupportedError("more axes than kernels count")
        padded = [_behind_time(self.sizes, (1,) * missing)]
        padded += [_behind_time(strides, (0,) * missing) for strides in self.strides]
        return tuple(word for words in padded for word in words)


def _behind_time(values: tuple[int, ...], missing: tuple[int, ...]) -> tuple[int, ...]:
    """Kernels share out the first axes, so time stays apart from the last two."""
    return (*values[:1], *missing, *values[1:])


def merged(tensors: Sequence[Tensor], axes: Sequence[int], kept: int = 0) -> Axes:
    """The named axes, outermost in the first tensor first; the first `kept` are not merged."""
    order = sorted(axes, key=lambda i: (i >= kept, -tensors[0].stride()[i]))
    sizes: list[int] = []
    strides: list[tuple[int, ...]] = []
    for i in order:
        size, steps = tensors[0].shape[i], tuple(x.stride(i) for x in tensors)
        if size == 1 and i >= kept:
            continue
        if len(sizes) > kept and strides[-1] == tuple(step * size for step in steps):
            sizes[-1], strides[-1] = sizes[-1] * size, steps
        else:
            sizes.append(size)
            strides.append(steps)
    return Axes(tuple(sizes), tuple(zip(*strides, strict=True)))


def meta_like(x: Tensor) -> Tensor:
    """A tensor without data, of the same shape and strides."""
    return torch.empty_strided(x.shape, x.stride(), device="meta")


def packed_like(x: Tensor) -> Tensor:
    """A tensor without data, of the same shape and order of axes, and without gaps.

    PyTorch's own for such tensors loads some five hundred modules.
    """
    return dense(x.shape, sorted(range(x.dim()), key=lambda i: -x.stride()[i]))


def dense(shape: Sequence[int], order: Sequence[int] | None = None) -> Tensor:
    """A contiguous tensor without data, its axes in memory in this order."""
    if order is None:
        return torch.empty(tuple(shape), device="meta")
    inverse = [list(order).index(i) for i in range(len(order))]
    return torch.empty([shape[i] for i in order], device="meta").permute(inverse)
