"""Copies and element-wise operations, for any strides of their operands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import lcm

import numpy as np
import torch
from torch import Tensor

from onnx2snn.runtime.program.signal import (
    Buffer,
    Signal,
    Spikes,
    dense,
    merged,
    meta_like,
    packed_like,
)
from onnx2snn.runtime.program.writer import Gate, Held, Place, Slot, Wanted, Writer, at

Operand = Signal | Held | Tensor

# Numbers of the operations in `source`.
_OPERATIONS = {"copy": 0, "add": 1, "subtract": 2, "multiply": 3, "divide": 4}


def copied(writer: Writer, signal: Signal, like: Tensor) -> Signal:
    """The same values, with the strides of `like`."""
    result = writer.new(like)
    _emit(writer, "copy", result, (signal.view, signal.view), (signal, signal))
    return result


def ordered(writer: Writer, signal: Signal, order: Sequence[int]) -> Signal:
    """The same values, contiguous once axes are in this order, behind time."""
    lifted = (0, *(i + 1 for i in order))
    if signal.view.permute(lifted).is_contiguous():
        return signal
    return copied(writer, signal, dense(signal.view.shape, lifted))


def joined(writer: Writer, signals: Sequence[Operand], axis: int) -> Signal:
    """Signals one after the other along an axis, in the order in memory of the first.

    Tensors among them are the same at every time.
    """
    views = [_view(signal) for signal in signals]
    sizes, first = [view.shape[axis] for view in views], views[0]
    shape = (*first.shape[:axis], sum(sizes), *first.shape[axis + 1 :])
    result = writer.new(dense(shape, sorted(range(first.dim()), key=lambda i: -first.stride()[i])))
    for signal, view, part in zip(
        signals, views, torch.split(result.view, sizes, axis), strict=True
    ):
        _emit(writer, "copy", result.seen(part), (view, view), (signal, signal))
    return result


def _view(x: Operand) -> Tensor:
    return meta_like(x) if isinstance(x, Tensor) else x.view


def pointwise(writer: Writer, operation: str, a: Signal, b: Operand) -> Signal:
    """a + b, a - b, a * b or a / b, broadcast; a tensor b is the same at every time."""
    other = _view(b)
    shape = torch.Size(np.broadcast_shapes(a.view.shape, other.shape))
    whole = next((x for x in (a.view, other) if x.shape == shape), None)
    result = writer.new(dense(shape) if whole is None else packed_like(whole))
    views = [x.expand(shape) for x in (a.view, other)]
    if operation == "multiply" and isinstance(b, Tensor):
        result.buffer.spikes = _scaled(a, b, result.view)
    _emit(writer, operation, result, views, (a, b))
    return result


def _scaled(signal: Signal, factor: Tensor, result: Tensor) -> Spikes | None:
    """The spikes of a signal times a factor; None where there are none, or others lie in memory."""
    spikes, view = signal.buffer.spikes, signal.view
    same = view.shape == result.shape and view.stride() == result.stride()
    if spikes is None or spikes.factor is not None or not same or not signal.whole:
        return None
    inner = factor.reshape(*(1,) * (view.dim() - 1 - factor.dim()), *factor.shape)
    strides = view.stride()[1:]
    varying = [i for i in range(inner.dim()) if inner.shape[i] > 1]
    most = max((strides[i] * inner.shape[i] for i in varying), default=1)
    order = sorted(range(inner.dim()), key=lambda i: -strides[i])
    tail = [i for i in order if strides[i] * view.shape[i + 1] <= most]
    spread = [view.shape[i + 1] if i in tail else 1 for i in range(inner.dim())]
    flat = inner.expand(spread).permute(order).reshape(-1).contiguous()
    return replace(spikes, factor=flat, period=lcm(spikes.period, most))


def _emit(
    writer: Writer,
    operation: str,
    result: Signal,
    views: Sequence[Tensor],
    operands: Sequence[Operand],
) -> None:
    axes = merged((result.view, *views), range(result.view.dim()), kept=1)
    addresses = [writer.constant(x) if isinstance(x, Tensor) else at(x) for x in operands]
    words = (_OPERATIONS[operation], *axes.words())
    place = at(result) if result.buffer.spikes is None else Wanted(result.buffer)
    writer.emit("pointwise", *words, *addresses, place)


def kept(writer: Writer, buffer: Buffer, slot: Slot) -> None:
    """Keep the numbers of a buffer beyond the block."""
    view = dense((1, slot.size))
    axes = merged((view, view, view), range(2), kept=1)
    addresses = (Place(buffer, 0), Place(buffer, 0), slot.place)
    writer.emit("pointwise", _OPERATIONS["copy"], *axes.words(), *addresses)


def integrate(writer: Writer, slot: Slot, signal: Signal) -> None:
    """Add increments to what is kept of a tensor."""
    shape = (signal.view.shape[0], *slot.shape)
    changes = ordered(writer, signal.seen(signal.view.expand(shape)), slot.order)
    writer.emit("integration", writer.steps, slot.size, at(changes), slot.place)


def brought(writer: Writer, gate: Gate, shape: Sequence[int]) -> Signal:
    """The data of a call, contiguous in memory, as increments of one step."""
    result = writer.new(dense((1, *shape)))
    axes = merged((result.view,) * 3, range(result.view.dim()), kept=1)
    writer.emit("pointwise", _OPERATIONS["copy"], *axes.words(), gate, gate, at(result))
    return result
