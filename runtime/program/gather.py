"""Instructions for linear operators that only move, repeat and leave out numbers.

Which numbers a result is made of is found by applying the operator to their places in memory.
"""

from __future__ import annotations

import torch
from torch import Tensor

from onnx2snn.runtime.linear import LINEAR
from onnx2snn.runtime.program.moves import copied
from onnx2snn.runtime.program.signal import Signal, UnsupportedError, dense, packed_like
from onnx2snn.runtime.program.step import BoundStep
from onnx2snn.runtime.program.writer import Writer, at

# Places are integers of 32 bits, of which tables hold this many.
MOST_PLACES = 1 << 26


def gathered(writer: Writer, step: BoundStep) -> list[Signal]:
    """The results of an operator that does no arithmetic; UnsupportedError of any other."""
    signal = step.signal
    if not signal.whole or not _is_packed(signal.view):
        signal = copied(writer, signal, dense(signal.view.shape))
    here = signal.view[0]
    results = []
    for places in _moved(step, here):
        order = list(range(places.dim()))
        if places.dim() == here.dim():
            order.sort(key=lambda i: -here.stride()[i])
        table = places.permute(order)
        run = _run(table)
        starts = table.reshape(-1, run)[:, 0].to(torch.int32).contiguous()
        result = writer.new(dense((writer.steps, *places.shape), (0, *(i + 1 for i in order))))
        numbers = (writer.steps, here.numel(), starts.numel(), run)
        writer.emit("gather", *numbers, writer.constant(starts), at(signal), at(result))
        results.append(result)
    return results


def _is_packed(view: Tensor) -> bool:
    return view.stride() == packed_like(view).stride()


def _moved(step: BoundStep, here: Tensor) -> list[Tensor]:
    """Of each result, the places in memory of its numbers, and -1 for zeros."""
    if here.numel() > MOST_PLACES:
        raise UnsupportedError("more numbers than are told apart")
    flat = torch.arange(1, here.numel() + 1, dtype=torch.float64)
    numbers = torch.randn(flat.shape, generator=torch.Generator().manual_seed(0), dtype=flat.dtype)
    found = []
    for places, moved in zip(
        _applied(step, here, flat), _applied(step, here, numbers), strict=True
    ):
        known = places.round().long() - 1
        inside = (known >= 0) & (known < here.numel())
        expected = torch.where(inside, numbers[known.clamp(0, here.numel() - 1)], 0.0)
        if places.numel() > MOST_PLACES or not torch.equal(moved, expected):
            raise UnsupportedError(step.node.op_type)
        found.append(torch.where(inside, known, -1))
    return found


def _applied(step: BoundStep, here: Tensor, memory: Tensor) -> list[Tensor]:
    """The operator's results for numbers that lie in memory like the signal's."""
    x = memory.as_strided(here.shape, here.stride())
    ((position, _),) = step.binding.signals
    operands = list(step.binding.operands)
    operands[position] = x
    results = LINEAR[step.node.op_type].apply(operands, step.node.attributes)
    return [result for result, name in zip(results, step.node.outputs, strict=False) if name]


def _run(table: Tensor) -> int:
    """How many numbers lie side by side wherever the last axis of a table begins."""
    last = table.shape[-1] if table.dim() else 1
    lines = table.reshape(-1, last)
    apart = lines[:, 1:] - lines[:, :-1]
    alike = torch.where(lines[:, :1] < 0, apart == 0, (apart == 1) & (lines[:, 1:] >= 0))
    return last if bool(alike.all()) else 1
