"""Operators without a float64 kernel, and the bodies that the ONNX standard gives some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onnx import AttributeProto, FunctionProto, NodeProto, TensorProto, defs, helper

from onnx2snn.export.text import write_nodes
from onnx2snn.export.writer import Rewrite, Writer
from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.schema import BODY_OPSET
from onnx2snn.runtime.graph import attribute_value

_NAMES = """
    Acos Acosh Asin Asinh Atan Atanh AveragePool Celu Col2Im Conv ConvTranspose Cosh Elu Erf GRU
    Gelu GlobalAveragePool GlobalLpPool GlobalMaxPool GridSample HardSigmoid HardSwish Hardmax
    InstanceNormalization LRN LSTM LeakyRelu LpPool MaxUnpool Mean MeanVarianceNormalization Mish
    NonMaxSuppression PRelu RNN Resize Selu Sinh Softplus Softsign Tan ThresholdedRelu
"""
WITHOUT_KERNEL = frozenset(_NAMES.split())
"""Of onnxruntime 1.31 on the CPU."""


def standard_body(op_type: str) -> Rewrite:
    """Writes the operator by its function body in the ONNX standard.

    Raises ModelError, when used, for an operator that has none.
    """

    def write(writer: Writer, inputs: Sequence[str], attributes: Mapping[str, Any]) -> str:
        function = _function(op_type, attributes, len(inputs))
        if function is None:
            raise ModelError(
                f"onnxruntime does not compute {op_type} in float64; export with "
                "--precision float32"
            )
        schema = defs.get_schema(op_type, BODY_OPSET)
        values = {n: _default(a.default_value) for n, a in schema.attributes.items()}
        names = dict.fromkeys(function.input, "") | dict(zip(function.input, inputs, strict=False))
        result = function.output[0]
        nodes = [_with_result(node, result) for node in function.node]
        return write_nodes(writer, nodes, names, {**values, **attributes}, op_type)

    return write


def _function(op_type: str, attributes: Mapping[str, Any], operands: int) -> FunctionProto | None:
    schema: Any = defs.get_schema(op_type, BODY_OPSET)
    if schema.has_function:
        data = schema.function_body.SerializeToString()
    elif schema.has_context_dependent_function:
        node = helper.make_node(op_type, [f"x{i}" for i in range(operands)], ["y"])
        node.attribute.extend(helper.make_attribute(*item) for item in attributes.items())
        double = helper.make_tensor_type_proto(TensorProto.DOUBLE, None).SerializeToString()
        data = schema.get_context_dependent_function(node.SerializeToString(), [double] * operands)
    else:
        return None
    function = FunctionProto()
    function.ParseFromString(data)
    return function


def _default(attribute: AttributeProto) -> Any:
    return attribute_value(attribute) if attribute.type else None


def _with_result(node: NodeProto, result: str) -> NodeProto:
    """The node with the function's result called Y."""
    copy = NodeProto()
    copy.CopyFrom(node)
    for names in (copy.input, copy.output):
        for i, name in enumerate(names):
            if name == result:
                names[i] = "Y"
    return copy
