"""Function bodies written as ONNX text, and nodes with attributes by reference, put to use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from onnx import NodeProto, helper, numpy_helper, parser

from onnx2snn.export.writer import Writer
from onnx2snn.ops.schema import BODY_OPSET
from onnx2snn.runtime.graph import FLOATING, attribute_value
from onnx2snn.runtime.loading.detach import constant_of


@lru_cache(maxsize=512)
def _parsed(body: str, operands: tuple[str, ...], result: str) -> tuple[NodeProto, ...]:
    text = f"""<domain: "onnx2snn", opset_import: ["" : {BODY_OPSET}]>
    body ({", ".join(operands)}) => ({result}) {{ {body} }}"""
    return tuple(parser.parse_function(text).node)


def write_text(
    writer: Writer,
    body: str,
    operands: Sequence[str],
    constants: Mapping[str, float],
    hint: str,
    estimate: str = "",
) -> str:
    """Emit ONNX text that makes Y of X1, .., Xk and scalars; the name of Y.

    estimate: V, where the text makes of it and the others not a value Y but spikes S.
    """
    formal = tuple(f"X{i + 1}" for i in range(len(operands)))
    names = dict(zip(formal, operands, strict=True))
    if estimate:
        formal, names = (*formal, "V"), {**names, "V": estimate}
    names |= {name: writer.constant(float(value), name) for name, value in constants.items()}
    result = "S" if estimate else "Y"
    nodes = _parsed(body, (*formal, *constants), result)
    return write_nodes(writer, nodes, names, {}, hint, result)


def write_nodes(
    writer: Writer,
    nodes: Iterable[NodeProto],
    names: Mapping[str, str],
    attributes: Mapping[str, Any],
    hint: str,
    result: str = "Y",
) -> str:
    """Emit `nodes`, which lead to the result Y; its name.

    names:      what the operands are called here.
    attributes: values of the attributes that the nodes refer to; None where absent.
    """
    known = {"": "", **names}
    for node in nodes:
        own = _resolved(node, attributes)
        if node.op_type == "Cast" and own["to"] in FLOATING:
            own["to"] = int(helper.np_dtype_to_tensor_dtype(writer.dtype))
        if node.op_type == "Constant":
            known[node.output[0]] = writer.constant(_value(node, own))
        elif node.op_type == "CastLike" and _is_scalar(writer, known[node.input[0]]):
            known[node.output[0]] = known[node.input[0]]
        else:
            hints = [_hint(hint, name) for name in node.output]
            inputs = [known[name] for name in node.input]
            results = writer.emit(node.op_type, inputs, own, hints, node.domain)
            known.update(zip(node.output, results, strict=True))
    return known[result]


def _hint(prefix: str, name: str) -> str:
    return "" if not name else f"{prefix}.f" if name == "Y" else f"{prefix}/{name}"


def _resolved(node: NodeProto, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        a.name: attributes[a.ref_attr_name] if a.ref_attr_name else attribute_value(a)
        for a in node.attribute
    }


def _value(node: NodeProto, attributes: Mapping[str, Any]) -> Any:
    if node.attribute[0].ref_attr_name:
        return np.asarray(next(iter(attributes.values())))
    tensor = constant_of(node)
    assert tensor is not None
    return numpy_helper.to_array(tensor)


def _is_scalar(writer: Writer, name: str) -> bool:
    """Whether `name` is a floating constant, which has the export's precision already."""
    array = writer.array(name)
    return array is not None and array.dtype.kind == "f"
