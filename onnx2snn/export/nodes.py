"""One node of a plan as standard ONNX, in the precision of the export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import GraphProto, TensorProto, defs, helper

from onnx2snn.export.double import WITHOUT_KERNEL
from onnx2snn.export.window import write_window
from onnx2snn.export.writer import Writer
from onnx2snn.ops import DOMAIN
from onnx2snn.ops.errors import ModelError, Onnx2SnnError
from onnx2snn.ops.node import Node
from onnx2snn.runtime.captures import standalone
from onnx2snn.runtime.graph import FLOATING

_TYPE_ATTRIBUTES = ("to", "dtype")


def write_node(
    writer: Writer, node: Node, inputs: Sequence[str], *, analog: bool, suffix: str = ""
) -> list[str]:
    """Emit `node` on `inputs`; the names of its results, one per output, "" where absent.

    Floating tensors keep to one precision, as in the runtime: casts among floating types do
    nothing. An analog node for which onnxruntime has no float64 kernel computes in float32.
    """
    try:
        if node.domain == DOMAIN:
            return [write_window(writer, inputs[0], node.attributes)]
        hints = [name and name + suffix for name in node.outputs]
        if any(isinstance(value, GraphProto) for value in node.attributes.values()):
            return _control_flow(writer, node, inputs, hints)
        attributes = {k: _typed(writer, k, v) for k, v in node.attributes.items()}
        if analog and writer.dtype == np.float64 and node.op_type in WITHOUT_KERNEL:
            return _narrowed(writer, node, inputs, hints)
        return writer.emit(node.op_type, _trimmed(inputs), attributes, hints, node.domain)
    except Onnx2SnnError as error:
        raise ModelError(f"node '{node.name}' ({node.op_type}): {error}") from error


def _control_flow(
    writer: Writer, node: Node, inputs: Sequence[str], hints: Sequence[str]
) -> list[str]:
    """The node with its sub-graphs as they are, whose types are those of the source file."""
    if writer.dtype == np.float64:
        raise ModelError("the types of its sub-graphs are fixed; export with --precision float32")
    alone = standalone(node, inputs)
    return writer.emit(alone.op_type, _trimmed(alone.inputs), alone.attributes, hints, alone.domain)


def _trimmed(inputs: Sequence[str]) -> list[str]:
    kept = list(inputs)
    while kept and not kept[-1]:
        kept.pop()
    return kept


def float_type(dtype: np.dtype[Any]) -> int:
    """The ONNX element type of a numpy type."""
    return int(helper.np_dtype_to_tensor_dtype(dtype))


def _typed(writer: Writer, name: str, value: Any) -> Any:
    """The attribute's value, with floating types replaced by the export's."""
    if isinstance(value, np.ndarray):
        return writer.store.typed(value)
    if name in _TYPE_ATTRIBUTES and value in FLOATING:
        return float_type(writer.dtype)
    return value


def _narrowed(writer: Writer, node: Node, inputs: Sequence[str], hints: Sequence[str]) -> list[str]:
    """The node in float32 between casts."""
    formal = defs.get_schema(node.op_type).inputs
    operands = [
        writer.call("Cast", x, to=TensorProto.FLOAT)
        if x and "tensor(float)" in formal[min(i, len(formal) - 1)].types
        else x
        for i, x in enumerate(inputs)
    ]
    plain = Writer(writer.store, writer.suffix)
    results = plain.emit(node.op_type, _trimmed(operands), node.attributes, hints, node.domain)
    writer.nodes.extend(plain.nodes)
    made = defs.get_schema(node.op_type).outputs
    return [
        writer.call("Cast", y, to=TensorProto.DOUBLE)
        if y and "tensor(float)" in made[min(i, len(made) - 1)].types
        else y
        for i, y in enumerate(results)
    ]


def zeros_like(writer: Writer, x: str) -> str:
    """Zeros of the shape of `x`."""
    array = writer.array(x)
    if array is not None:
        return writer.constant(np.zeros_like(array), "zeros")
    zero = np.zeros(1, writer.dtype)
    return writer.call("ConstantOfShape", writer.call("Shape", x), hint="zeros", value=zero)
