"""Which operators a model may use: those of its opsets, its own functions, onnxruntime's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

import onnx
from onnx import defs

from onnx2snn.ops import DOMAIN, DOMAIN_VERSION
from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.registry import by_node

_OLDEST = 7
_DEFAULT = ("", "ai.onnx")
_SHOWN = 3
Versions = dict[str, int]


def check_opsets(model: onnx.ModelProto) -> None:
    """Raise ModelError unless the default domain is imported in a version that onnx knows."""
    spiking = {e.domain: e.version for e in model.opset_import}.get(DOMAIN, 0)
    if spiking > DOMAIN_VERSION:
        raise ModelError(
            f"it uses version {spiking} of the domain {DOMAIN!r}, this onnx2snn knows version "
            f"{DOMAIN_VERSION}; upgrade onnx2snn"
        )
    versions = [entry.version for entry in model.opset_import if entry.domain in _DEFAULT]
    newest = defs.onnx_opset_version()
    if not versions:
        raise ModelError("no opset of the default domain is declared; export the model again")
    if versions[0] < _OLDEST:
        raise ModelError(
            f"opset {versions[0]} is older than {_OLDEST}; export the model with a newer opset"
        )
    if versions[0] > newest:
        raise ModelError(
            f"opset {versions[0]} is newer than {newest}, the newest that onnx "
            f"{onnx.__version__} knows; upgrade onnx or export the model with an older opset"
        )


def check_operators(model: onnx.ModelProto) -> None:
    """Raise ModelError naming the first operators that do not exist."""
    own = {(function.domain, function.name) for function in model.functions}
    problems = list(_unknown(model.graph.node, _versions(model), own))
    for function in model.functions:
        problems += _unknown(function.node, _versions(function), own)
    if problems:
        more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
        raise ModelError("; ".join(problems[:_SHOWN]) + more)


def _versions(model: onnx.ModelProto | onnx.FunctionProto) -> Versions:
    versions = {entry.domain: entry.version for entry in model.opset_import}
    if "ai.onnx" in versions:
        versions.setdefault("", versions["ai.onnx"])
    return versions


def _unknown(
    nodes: Iterable[onnx.NodeProto], versions: Versions, own: set[tuple[str, str]]
) -> Iterator[str]:
    for node in nodes:
        domain = "" if node.domain in _DEFAULT else node.domain
        problem = None if (domain, node.op_type) in own else _problem(node, domain, versions)
        if problem is not None:
            yield f"node {node.name!r}: {problem}"
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _unknown(graph.node, versions, own)


def _problem(node: onnx.NodeProto, domain: str, versions: Versions) -> str | None:
    if not node.op_type:
        return "has no operator; export the model again"
    if (domain, node.op_type) in _runtime_operators() or by_node(domain, node.op_type):
        return None
    about = f"operator {node.op_type!r} of domain {domain!r}"
    if domain in {schema.domain for schema in _all_schemas()}:
        if domain not in versions:
            return f"{about}: the model does not import that domain; export it again"
        return _missing(node.op_type, domain, versions[domain], about)
    return (
        f"{about} is neither standard nor defined by a function in the model; register it with "
        "onnx2snn.register, or export it as a local function or as standard operators"
    )


def _missing(op_type: str, domain: str, version: int, about: str) -> str | None:
    try:
        schema = defs.get_schema(op_type, version, domain)
    except defs.SchemaError:
        return f"{about} opset {version} does not exist; export the model again"
    if schema.deprecated:
        return f"{about} opset {version} does not exist any more; export the model again"
    return None


@cache
def _all_schemas() -> tuple[defs.OpSchema, ...]:
    return tuple(defs.get_all_schemas())


@cache
def _runtime_operators() -> frozenset[tuple[str, str]]:
    """onnxruntime's own operators, of which two bear the name of the standard domain."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    found = {(schema.domain, schema.name) for schema in state.get_all_operator_schema()}
    own = {(domain, name) for domain, name in found if domain.startswith("com.microsoft")}
    return frozenset({*own, ("", "LayerNormalization"), ("", "SimplifiedLayerNormalization")})
