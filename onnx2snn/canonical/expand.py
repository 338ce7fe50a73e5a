"""Operators that the standard itself defines by others become those others.

Attention, RotaryEmbedding, AffineGrid, CenterCropPad, losses and the like: what they are made
of is known to every later pass, and their nonlinearities become spiking one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
from onnx import defs, helper, inliner, shape_inference

from onnx2snn.canonical.upgrade import opset_of
from onnx2snn.ops import BY_SOURCE
from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.linear import LINEAR

_DOMAIN = "onnx2snn.expanded"
_KEPT = frozenset(
    {
        *("GroupNormalization", "RMSNormalization", "MeanVarianceNormalization", "Swish"),
        *("Range", "Bernoulli", "DynamicQuantizeLinear", "SequenceMap", "LessOrEqual"),
        *("GreaterOrEqual", "BlackmanWindow", "HammingWindow", "HannWindow"),
    }
)
"""Those of which a pass of its own takes care, and those that no signal passes through."""


def expand(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with standard functions in terms of simpler operators.

    requires: the target opset, no local functions.
    ensures:  of the operators that the standard defines by a function, those remain that have a
              spiking or a linear form, or a pass of their own.
    """
    version = opset_of(model)
    nodes = [node for node in model.graph.node if _is_function(node, version)]
    if not nodes:
        return model
    try:
        types = _types(model)
        for number, node in enumerate(nodes):
            model.functions.append(_call(node, f"{node.op_type}_{number}", types, version))
        model.opset_import.append(helper.make_opsetid(_DOMAIN, 1))
        expanded = inliner.inline_local_functions(model)
    except (RuntimeError, ValueError, TypeError) as error:
        names = ", ".join(repr(node.name or node.output[0]) for node in nodes[:3])
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"nodes {names} cannot be expanded to simpler operators: {reason}"
        ) from error
    _forget(expanded)
    return expanded


def _is_function(node: onnx.NodeProto, version: int) -> bool:
    kind = node.op_type
    if node.domain or kind in BY_SOURCE or kind in LINEAR or kind in _KEPT:
        return False
    schema = _schema(kind, version)
    return schema is not None and bool(schema.has_function or schema.has_context_dependent_function)


def _schema(kind: str, version: int) -> Any | None:
    """The operator's schema, of whose methods onnx's type stubs know but a part."""
    try:
        return defs.get_schema(kind, version, "")
    except defs.SchemaError:
        return None


def _types(model: onnx.ModelProto) -> dict[str, onnx.TypeProto]:
    """The type of every tensor that inference knows, and of stored ones."""
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    values = (*graph.input, *graph.output, *graph.value_info)
    stored = {t.name: helper.make_tensor_type_proto(t.data_type, t.dims) for t in graph.initializer}
    return {**{value.name: value.type for value in values}, **stored}


def _call(
    node: onnx.NodeProto, name: str, types: Mapping[str, onnx.TypeProto], version: int
) -> onnx.FunctionProto:
    """Turn `node` into a call of a local function, which is returned: its body in the standard."""
    schema: Any = defs.get_schema(node.op_type, version, "")
    given = {attribute.name for attribute in node.attribute}
    node.attribute.extend(
        a.default_value
        for a in schema.attributes.values()
        if a.name not in given and a.default_value.name
    )
    function = onnx.FunctionProto()
    function.ParseFromString(_body(schema, node, types, version))
    function.domain, function.name = _DOMAIN, name
    del function.opset_import[:]
    function.opset_import.append(helper.make_opsetid("", version))
    node.domain, node.op_type = _DOMAIN, name
    return function


def _body(
    schema: Any, node: onnx.NodeProto, types: Mapping[str, onnx.TypeProto], version: int
) -> bytes:
    body: bytes
    if schema.has_context_dependent_function:
        operands = [types.get(name, onnx.TypeProto()) for name in node.input]
        body = schema.get_context_dependent_function_with_opset_version(
            max(v for v in schema.context_dependent_function_opset_versions if v <= version),
            node.SerializeToString(),
            [kind.SerializeToString() for kind in operands],
        )
    else:
        body = schema.get_function_with_opset_version(
            max(v for v in schema.function_opset_versions if v <= version)
        )
    return body


def _forget(model: onnx.ModelProto) -> None:
    """Drop what described the calls: the domain and shapes that inference finds anew."""
    kept = [entry for entry in model.opset_import if entry.domain != _DOMAIN]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    del model.graph.value_info[:]
