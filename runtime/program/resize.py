"""Instructions for interpolation: along each axis a product with its matrix."""

from __future__ import annotations

import torch

from onnx2snn.ops.node import Node
from onnx2snn.runtime.linear.resize import axis_table, is_lookup, resized_axes
from onnx2snn.runtime.program.product import product
from onnx2snn.runtime.program.signal import Signal, UnsupportedError
from onnx2snn.runtime.program.step import BoundStep
from onnx2snn.runtime.program.writer import Writer


def is_interpolation(node: Node) -> bool:
    """Whether a node makes sums of numbers, not copies alone."""
    return node.op_type == "Resize" and node.attributes.get("mode", "nearest") != "nearest"


def resized(writer: Writer, step: BoundStep) -> Signal:
    """The signal interpolated along one axis after another."""
    signal = step.signal
    here = torch.empty(signal.view.shape[1:], device="meta")
    for position, axis in resized_axes(here, step.binding.operands, step.node.attributes):
        if axis.is_identity:
            continue
        if is_lookup(axis):
            raise UnsupportedError("copies of cells")
        matrix = axis_table(axis, torch.device("cpu"), torch.float32).t()
        last = signal.seen(signal.view.movedim(position + 1, -1))
        found = product(writer, last, matrix, (step.index, position))
        signal = found.seen(found.view.movedim(-1, position + 1))
    return signal
