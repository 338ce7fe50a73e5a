"""Operators beyond the standard, with bodies of standard operators that any runtime executes."""

from __future__ import annotations

from collections.abc import Iterable

import onnx
from onnx import helper

from onnx2snn.canonical.domain import CANONICAL_DOMAIN, CANONICAL_VERSION
from onnx2snn.canonical.upgrade import TARGET_OPSET, opset_of
from onnx2snn.ops import BY_SOURCE
from onnx2snn.ops.operator import SpikingOperator
from onnx2snn.ops.registry import by_node
from onnx2snn.ops.schema import source_function


def add_functions(model: onnx.ModelProto) -> None:
    """Give `model` the domain and function bodies its canonical nodes need, in place."""
    used = {node.op_type for node in model.graph.node if node.domain == CANONICAL_DOMAIN}
    operators = [BY_SOURCE[op_type] for op_type in sorted(used)]
    _define(model, CANONICAL_DOMAIN, operators, opset_of(model))


def adopt(model: onnx.ModelProto) -> None:
    """Make canonical nodes of those that a user has registered an operator for, in place."""
    registered = {(node.domain, node.op_type) for node in _registered(model)}
    kept = [f for f in model.functions if (f.domain, f.name) not in registered]
    del model.functions[:]
    model.functions.extend(kept)
    if registered:
        _import(model, CANONICAL_DOMAIN)
    for node in _registered(model):
        node.domain = CANONICAL_DOMAIN


def defined(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with the bodies of registered operators that it holds without a function."""
    known = {(function.domain, function.name) for function in model.functions}
    missing = {
        (n.domain, n.op_type) for n in _registered(model) if (n.domain, n.op_type) not in known
    }
    if not missing:
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for domain, op_type in sorted(missing):
        _define(copy, domain, [BY_SOURCE[op_type]], max(opset_of(model), TARGET_OPSET))
    return copy


def _registered(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if by_node(node.domain, node.op_type)]


def _import(model: onnx.ModelProto, domain: str) -> None:
    if not any(entry.domain == domain for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid(domain, CANONICAL_VERSION))


def _define(
    model: onnx.ModelProto, domain: str, operators: Iterable[SpikingOperator], opset: int
) -> None:
    functions = [source_function(operator, opset, domain) for operator in operators]
    if functions:
        _import(model, domain)
    model.functions.extend(functions)
