"""Instructions for products of a signal and a tensor that a call's data make, such as a mask."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from onnx2snn.ops.node import Node
from onnx2snn.runtime.binding import Binding
from onnx2snn.runtime.program.moves import pointwise
from onnx2snn.runtime.program.pairs import paired
from onnx2snn.runtime.program.signal import Signal, UnsupportedError, dense
from onnx2snn.runtime.program.writer import Held, Writer

_ELEMENTWISE = {"Mul": "multiply", "Div": "divide"}


def weighed(
    writer: Writer,
    node: Node,
    binding: Binding,
    signals: Mapping[str, Signal],
    values: Mapping[str, Tensor],
) -> Signal:
    """The increments of a product or quotient, of which one operand does not change.

    That lies in the memory of the simulation, since it differs from call to call.
    values: of what does not change, at some call.
    """
    if len(binding.signals) != 1 or node.op_type not in ("MatMul", *_ELEMENTWISE):
        raise UnsupportedError("an operand that depends on the data")
    ((position, name),) = binding.signals
    signal, held = signals[name], _held(writer, node, node.inputs[1 - position], values)
    if node.op_type in _ELEMENTWISE:
        return pointwise(writer, _ELEMENTWISE[node.op_type], signal, _aligned(held, signal))
    return paired(writer, *((held, signal) if position else (signal, held)))


def _held(writer: Writer, node: Node, name: str, values: Mapping[str, Tensor]) -> Held:
    value = values[name]
    if value.dtype != torch.float32:
        raise UnsupportedError("an operand that is not of float32")
    shape = tuple(value.shape)
    slot = writer.slots.slot("static", name, shape, range(len(shape)), node.outputs[0])
    return Held(slot.place, dense(shape).unsqueeze(0).expand(writer.steps, *shape))


def _aligned(held: Held, signal: Signal) -> Held:
    """With as many axes as the signal, time first."""
    steps, *shape = held.view.shape
    missing = signal.view.dim() - held.view.dim()
    if missing < 0:
        raise UnsupportedError("a factor with more axes than the signal")
    return Held(held.place, held.view.reshape(steps, *(1,) * missing, *shape))
