"""Instructions for products of two signals: y(t) = a(t) b(t), of which y(t) - y(t-1) is sent on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeGuard

import torch

from onnx2snn.runtime.plan import DifferenceStep, Step
from onnx2snn.runtime.program.moves import ordered, pointwise
from onnx2snn.runtime.program.pairs import paired
from onnx2snn.runtime.program.signal import Signal, UnsupportedError
from onnx2snn.runtime.program.writer import Slot, Writer, at


def _elementwise(writer: Writer, a: Signal, b: Signal) -> Signal:
    return pointwise(writer, "multiply", a, b)


_PRODUCTS: dict[str, Callable[[Writer, Signal, Signal], Signal]] = {
    "MatMul": paired,
    "Mul": _elementwise,
}


def has_instructions(step: Step) -> TypeGuard[DifferenceStep]:
    """Whether there are any for a difference step."""
    return (
        isinstance(step, DifferenceStep)
        and step.role == "product"
        and step.node.op_type in _PRODUCTS
    )


def multiplied(
    writer: Writer,
    step: DifferenceStep,
    signals: Mapping[str, Signal],
    shapes: Mapping[str, torch.Size],
) -> Signal:
    """The increments of a product, whose operands' values are kept for it alone."""
    (output,) = step.node.outputs
    values = {
        name: _trajectory(writer, name, signals[name], shapes[name], output)
        for name in dict.fromkeys(step.node.inputs)
    }
    a, b = (values[name] for name in step.node.inputs)
    result = _PRODUCTS[step.node.op_type](writer, a, b)
    if result.view.shape[1:] != shapes[output]:
        raise UnsupportedError("a product of another shape than its result")
    slot = _slot(writer, output, result, output)
    writer.emit("differences", writer.steps, slot.size, slot.place, at(result))
    return result


def _trajectory(
    writer: Writer, name: str, signal: Signal, shape: torch.Size, reader: str
) -> Signal:
    """The values of a tensor at every step of the block."""
    signal = signal.seen(signal.view.expand(writer.steps, *shape))
    slot = _slot(writer, name, signal, reader)
    changes = ordered(writer, signal, slot.order)
    result = writer.new(changes.view)
    writer.emit("trajectory", writer.steps, slot.size, at(changes), slot.place, at(result))
    return result


def _slot(writer: Writer, name: str, signal: Signal, reader: str) -> Slot:
    """Where a value is kept, its axes in the order in which they lie in the signal."""
    shape, strides = signal.view.shape[1:], signal.view.stride()[1:]
    order = sorted(range(len(shape)), key=lambda i: -strides[i])
    return writer.slots.slot("value", name, shape, order, reader)
