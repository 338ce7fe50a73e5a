"""Matches the nonlinear nodes of a canonical graph to spiking operators.

One rule per operator where the ONNX node and the spiking one differ in form; everything else
maps by name. A refusal carries its reason, which the coverage report shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from onnx2snn.merge import rectified_pools
from onnx2snn.ops import BY_SOURCE, DOMAIN
from onnx2snn.ops.node import Node
from onnx2snn.ops.operator import SpikingOperator
from onnx2snn.runtime.graph import Graph
from onnx2snn.runtime.plan import LOOKUPS, WEIGHTED
from onnx2snn.smooth import smoothed


@dataclass(frozen=True)
class Matched:
    """A graph whose matched nodes are spiking ones, still without parameters.

    refusals: node name -> why a node that has a spiking operator was left as it is.
    merged:   Relu node name -> the spiking node that has taken it over.
    """

    graph: Graph
    refusals: Mapping[str, str]
    merged: Mapping[str, str]


@dataclass(frozen=True)
class Options:
    """What the caller asks of matching.

    layer_norm: "decomposed" or "fused".
    max_pool:   "tree" or "fused".
    exclude:    node names or operator types, shell patterns allowed, to leave analog.
    neurons:    attributes common to all spiking nodes (spikes, schedule).
    quantization: "exact" or "smooth".
    """

    layer_norm: str = "decomposed"
    max_pool: str = "fused"
    exclude: tuple[str, ...] = ()
    neurons: Mapping[str, str] | None = None
    quantization: str = "exact"


class RefusalError(Exception):
    """A node cannot become spiking; the message says why."""


Rule = Callable[[Node, Graph, Options], Node]


def _row_wise(node: Node, graph: Graph, options: Options) -> Node:
    """Axis counted from the last."""
    axis = int(node.attributes.get("axis", -1))
    if axis >= 0:
        shape = graph.shapes.get(node.inputs[0])
        if shape is None:
            raise RefusalError("the rank of its input is unknown")
        axis -= len(shape)
    return replace(node, attributes={**node.attributes, "axis": axis})


def _layer_normalization(node: Node, graph: Graph, options: Options) -> Node:
    """Axis counted from the last; one output only."""
    _only_output(node)
    node = _row_wise(node, graph, options)
    return replace(node, attributes={**node.attributes, "sites": options.layer_norm})


def _max_pool(node: Node, graph: Graph, options: Options) -> Node:
    """Only the maxima, not their indices."""
    _only_output(node)
    return replace(node, attributes={**node.attributes, "sites": options.max_pool})


def _global_max_pool(node: Node, graph: Graph, options: Options) -> Node:
    """The spatial extents become an attribute, since they decide the number of sites."""
    extents = list((graph.shapes.get(node.inputs[0]) or ())[2:])
    if not extents or not all(isinstance(d, int) for d in extents):
        raise RefusalError("its spatial extents are not fixed in the graph")
    return replace(node, attributes={"extents": extents, "sites": options.max_pool})


def _only_output(node: Node) -> None:
    if any(node.outputs[1:]):
        raise RefusalError(f"its further output '{next(filter(None, node.outputs[1:]))}' is used")


RULES: dict[str, Rule] = {
    "GlobalMaxPool": _global_max_pool,
    "LayerNormalization": _layer_normalization,
    "LogSoftmax": _row_wise,
    "MaxPool": _max_pool,
    "Softmax": _row_wise,
}

CANONICAL_DOMAINS = ("", "onnx2snn.canonical")


def _operator(node: Node, graph: Graph, data: set[str]) -> SpikingOperator | None:
    """The spiking operator of a node that carries floating-point signals."""
    if node.domain not in CANONICAL_DOMAINS or graph.is_discrete(node.outputs[0]):
        return None
    if not any(name in data for name in node.inputs):
        return None
    return BY_SOURCE.get(node.op_type)


@dataclass
class _Signals:
    """Tensors that carry a signal, and those that integer inputs determine without weights.

    The latter (masks, counts, positions) are computed once: neurons would only blur them.
    """

    graph: Graph
    data: set[str] = field(default_factory=set)
    counted: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for info in self.graph.inputs:
            (self.counted if self.graph.is_discrete(info.name) else self.data).add(info.name)

    def follow(self, node: Node) -> None:
        """Record the node's results."""
        if node.op_type in ("Shape", "Size"):
            return
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


def _guarded(node: Node, writer: Mapping[str, Node], graph: Graph) -> str | None:
    """s where the node is Where(IsNaN(s), 0, s) and s comes from a spiking softmax."""
    if node.op_type != "Where" or node.domain:
        return None
    condition, otherwise, signal = node.inputs
    test, softmax = writer.get(condition), writer.get(signal)
    zero = graph.constants.get(otherwise)
    if test is None or softmax is None or zero is None or zero.any():
        return None
    found = test.op_type == "IsNaN" and test.inputs == (signal,)
    return signal if found and softmax.op_type == BY_SOURCE["Softmax"].op_type else None


def _unguarded(nodes: list[Node], graph: Graph) -> list[Node]:
    """The nodes without the guards that exporters put behind a softmax whose row may be masked.

    The spiking softmax is 0 there by itself, so it writes the guard's result in its stead.
    """
    writer = {name: node for node in nodes for name in node.outputs}
    readers = Counter(name for node in nodes for name in node.inputs)
    readers.update(info.name for info in graph.outputs)
    renamed: dict[str, str] = {}
    dropped: set[str] = set()
    for node in nodes:
        signal = _guarded(node, writer, graph)
        if signal and (readers[node.inputs[0]], readers[signal]) == (1, 2):
            renamed[signal] = node.outputs[0]
            dropped.update((node.inputs[0], node.outputs[0]))
    return [
        replace(node, outputs=tuple(renamed.get(name, name) for name in node.outputs))
        for node in nodes
        if not dropped.intersection(node.outputs)
    ]


def match(graph: Graph, options: Options) -> Matched:
    """Turn every node that has a spiking operator and carries a signal into a spiking one."""
    if options.quantization == "smooth":
        graph = smoothed(graph)
    signals = _Signals(graph)
    nodes: list[Node] = []
    refusals: dict[str, str] = {}
    split = (part for node in graph.nodes for part in _split_variadic(node))
    for node in _unique_names(split):
        operator = _operator(node, graph, signals.data)
        signals.follow(node)
        if operator is None:
            if node.op_type in BY_SOURCE and signals.are_counts(node.outputs):
                refusals[node.name] = "it depends on integer inputs alone and is computed once"
            nodes.append(node)
            continue
        try:
            nodes.append(_match(node, operator, graph, options))
        except RefusalError as refusal:
            refusals[node.name] = str(refusal)
            nodes.append(node)
    remaining, merged = rectified_pools(_unguarded(nodes, graph), graph)
    return Matched(replace(graph, nodes=tuple(remaining)), refusals, merged)
