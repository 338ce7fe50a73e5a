"""Matches the nonlinear nodes of a canonical graph to spiking operators.

One rule per operator where the ONNX node and the spiking one differ in form; everything else
maps by name. A refusal carries its reason, which the coverage report shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from onnx2snn.ops import BY_SOURCE, DOMAIN
from onnx2snn.ops.node import Node
from onnx2snn.ops.operator import SpikingOperator
from onnx2snn.runtime.graph import Graph


@dataclass(frozen=True)
class Matched:
    """A graph whose matched nodes are spiking ones, still without parameters.

    refusals: node name -> why a node that has a spiking operator was left as it is.
    """

    graph: Graph
    refusals: Mapping[str, str]


@dataclass(frozen=True)
class Options:
    """What the caller asks of matching.

    layer_norm: "decomposed" or "fused".
    exclude:    node names or operator types, shell patterns allowed, to leave analog.
    neurons:    attributes common to all spiking nodes (spikes, schedule).
    """

    layer_norm: str = "decomposed"
    exclude: tuple[str, ...] = ()
    neurons: Mapping[str, str] | None = None


class RefusalError(Exception):
    """A node cannot become spiking; the message says why."""


Rule = Callable[[Node, Graph, Options], Node]


def _layer_normalization(node: Node, graph: Graph, options: Options) -> Node:
    """Axis counted from the last; one output only."""
    _only_output(node)
    axis = int(node.attributes.get("axis", -1))
    if axis >= 0:
        shape = graph.shapes.get(node.inputs[0])
        if shape is None:
            raise RefusalError("the rank of its input is unknown")
        axis -= len(shape)
    return replace(node, attributes={**node.attributes, "axis": axis, "sites": options.layer_norm})


def _max_pool(node: Node, graph: Graph, options: Options) -> Node:
    """Only the maxima, not their indices."""
    _only_output(node)
    return node


def _global_max_pool(node: Node, graph: Graph, options: Options) -> Node:
    """The spatial extents become an attribute, since they decide the number of sites."""
    extents = list((graph.shapes.get(node.inputs[0]) or ())[2:])
    if not extents or not all(isinstance(d, int) for d in extents):
        raise RefusalError("its spatial extents are not fixed in the graph")
    return replace(node, attributes={"extents": extents})


def _only_output(node: Node) -> None:
    if any(node.outputs[1:]):
        raise RefusalError(f"its further output '{next(filter(None, node.outputs[1:]))}' is used")


RULES: dict[str, Rule] = {
    "GlobalMaxPool": _global_max_pool,
    "LayerNormalization": _layer_normalization,
    "MaxPool": _max_pool,
}

CANONICAL_DOMAINS = ("", "onnx2snn.canonical")


def _operator(node: Node, graph: Graph, data: set[str]) -> SpikingOperator | None:
    """The spiking operator of a node that carries floating-point signals."""
    if node.domain not in CANONICAL_DOMAINS or graph.is_discrete(node.outputs[0]):
        return None
    if not any(name in data for name in node.inputs):
        return None
    return BY_SOURCE.get(node.op_type)


def _is_excluded(node: Node, patterns: Iterable[str]) -> bool:
    return any(
        fnmatchcase(node.name, pattern) or fnmatchcase(node.op_type, pattern)
        for pattern in patterns
    )


def _match(node: Node, operator: SpikingOperator, graph: Graph, options: Options) -> Node:
    if _is_excluded(node, options.exclude):
        raise RefusalError("excluded by request")
    rule = RULES.get(node.op_type)
    node = rule(node, graph, options) if rule else node
    known = {attribute.name for attribute in operator.attributes}
    attributes = {k: v for k, v in node.attributes.items() if k in known}
    return replace(
        node,
        op_type=operator.op_type,
        domain=DOMAIN,
        outputs=node.outputs[:1],
        attributes={**attributes, **(options.neurons or {})},
    )


def _split_variadic(node: Node) -> list[Node]:
    """Max and Min of n operands as n - 1 binary ones; every other node as it is."""
    if node.op_type not in ("Max", "Min") or node.domain or len(node.inputs) <= 2:
        return [node]
    nodes, left = [], node.inputs[0]
    for i, right in enumerate(node.inputs[1:], start=1):
        last = i == len(node.inputs) - 1
        output = node.outputs[0] if last else f"{node.outputs[0]}/{i}"
        nodes.append(
            replace(node, inputs=(left, right), outputs=(output,), name=f"{node.name}/{i}")
        )
        left = output
    return nodes


def _unique_names(nodes: Iterable[Node]) -> list[Node]:
    seen: set[str] = set()
    result = []
    for node in nodes:
        name, i = node.name, 1
        while name in seen:
            i += 1
            name = f"{node.name}_{i}"
        seen.add(name)
        result.append(replace(node, name=name))
    return result


def match(graph: Graph, options: Options) -> Matched:
    """Turn every node that has a spiking operator and carries a signal into a spiking one."""
    data = {info.name for info in graph.inputs}
    nodes: list[Node] = []
    refusals: dict[str, str] = {}
    split = (part for node in graph.nodes for part in _split_variadic(node))
    for node in _unique_names(split):
        operator = _operator(node, graph, data)
        if node.op_type not in ("Shape", "Size") and any(name in data for name in node.inputs):
            data.update(node.outputs)
        if operator is None:
            nodes.append(node)
            continue
        try:
            nodes.append(_match(node, operator, graph, options))
        except RefusalError as refusal:
            refusals[node.name] = str(refusal)
            nodes.append(node)
    return Matched(replace(graph, nodes=tuple(nodes)), refusals)
