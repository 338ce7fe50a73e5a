"""Matches the nonlinear nodes of a canonical graph to spiking operators.

Where the ONNX node and the spiking one differ in form there is a rule (`rules.py`); everything
else maps by name. A refusal carries its reason, which the coverage report shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from onnx2snn.bypass import by_depth, bypassed
from onnx2snn.choice import UNCHOSEN, choices, without_idle
from onnx2snn.encoding import encoded
from onnx2snn.guards import unguarded
from onnx2snn.integrating import check_integrating
from onnx2snn.merge import rectified_pools
from onnx2snn.ops import BY_SOURCE, DOMAIN
from onnx2snn.ops.node import Node
from onnx2snn.ops.operator import SpikingOperator
from onnx2snn.relays import relayed
from onnx2snn.rules import NONE, RULES, Options, RefusalError, carries_signal
from onnx2snn.runtime.graph import Graph
from onnx2snn.runtime.plan import LOOKUPS, WEIGHTED
from onnx2snn.smooth import smoothed


@dataclass(frozen=True)
class Matched:
    """A graph whose matched nodes are spiking ones, still without parameters.

    refusals: node name -> why a node that has a spiking operator was left as it is.
    merged:   Relu node name -> the spiking node that has taken it over.
    bypass:   what passes by neurons, one of BYPASSES.
    """

    graph: Graph
    refusals: Mapping[str, str]
    merged: Mapping[str, str]
    bypass: str


CANONICAL_DOMAINS = ("", "onnx2snn.canonical")


def _operator(node: Node, graph: Graph, signals: _Signals) -> SpikingOperator | None:
    """The spiking operator of a node that carries floating-point signals."""
    if node.domain not in CANONICAL_DOMAINS or graph.is_discrete(node.outputs[0]):
        return None
    if not carries_signal(node, signals.data, signals.varying):
        return None
    return BY_SOURCE.get(node.op_type)


@dataclass
class _Signals:
    """Tensors that carry a signal, and those that integer inputs determine without weights.

    The latter (masks, counts, positions) are computed once: neurons would only blur them. Of the
    former, those that vary have neurons upstream.
    """

    graph: Graph
    data: set[str] = field(default_factory=set)
    counted: set[str] = field(default_factory=set)
    varying: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for info in self.graph.inputs:
            (self.counted if self.graph.is_discrete(info.name) else self.data).add(info.name)

    def follow(self, node: Node, has_neurons: bool = False) -> None:
        """Record the node's results."""
        if node.op_type in ("Shape", "Size"):
            return
        if has_neurons or not self.varying.isdisjoint(node.inputs):
            self.varying.update(node.outputs)
        factors = node.inputs[:1] if node.op_type in LOOKUPS else node.inputs[:2]
        weighted = node.op_type in WEIGHTED and not self.counted.issuperset(factors)
        if not self.data.isdisjoint(node.inputs):
            self.data.update(node.outputs)
        elif not self.counted.isdisjoint(node.inputs):
            integers = self.graph.is_discrete(node.outputs[0])
            (self.data if weighted and not integers else self.counted).update(node.outputs)

    def are_counts(self, names: Iterable[str]) -> bool:
        """Whether these are real numbers that integer inputs determine without weights."""
        return any(name in self.counted and not self.graph.is_discrete(name) for name in names)


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


def _unique_names(nodes: Iterable[Node]) -> Iterator[Node]:
    seen: set[str] = set()
    for node in nodes:
        name, i = node.name, 1
        while name in seen:
            i += 1
            name = f"{node.name}_{i}"
        seen.add(name)
        yield replace(node, name=name)


def match(graph: Graph, options: Options) -> Matched:
    """Turn every node that has a spiking operator and carries a signal into a spiking one."""
    if options.quantization == "smooth":
        graph = smoothed(graph)
    signals = _Signals(graph)
    writer = {name: node for node in graph.nodes for name in node.outputs}
    nodes: list[Node] = []
    refusals: dict[str, str] = {}

    def parts(node: Node) -> list[Node]:
        if _is_excluded(node, options.exclude):
            return [node]
        return [
            b for a in _split_variadic(node) for b in choices(a, graph, writer, signals.varying)
        ]

    for node in _unique_names(part for whole in graph.nodes for part in parts(whole)):
        operator = _operator(node, graph, signals)
        if operator is None:
            signals.follow(node)
            if node.op_type in BY_SOURCE and signals.are_counts(node.outputs):
                refusals[node.name] = "it depends on integer inputs alone and is computed once"
            elif node.op_type == "Where" and node.inputs[0] in signals.varying:
                refusals[node.name] = UNCHOSEN
            nodes.append(node)
            continue
        try:
            nodes.append(_match(node, operator, graph, options))
            signals.follow(node, has_neurons=True)
        except RefusalError as refusal:
            refusals[node.name] = str(refusal)
            nodes.append(node)
            signals.follow(node)
    nodes = without_idle(unguarded(nodes, graph), graph)
    remaining, merged = rectified_pools(nodes, graph)
    bypass = NONE if options.integrating else by_depth(options.bypass, remaining, graph)
    presented = _presented(remaining, graph, replace(options, bypass=bypass))
    return Matched(presented, refusals, merged, bypass)


def _presented(nodes: list[Node], graph: Graph, options: Options) -> Graph:
    """The matched graph: what passes by its neurons, and how they see the input."""
    neurons = dict(options.neurons or {})
    if options.integrating:
        check_integrating(replace(graph, nodes=tuple(nodes)))
    nodes = bypassed(nodes, graph, options.bypass)
    if options.relays:
        nodes = relayed(nodes, graph, neurons)
    matched = replace(graph, nodes=tuple(nodes))
    return encoded(matched, options.encoding, neurons) if options.encoding else matched
