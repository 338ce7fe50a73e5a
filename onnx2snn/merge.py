"""Merges neighbouring spiking nodes where one population of neurons can do the work of two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from onnx2snn.ops import BY_SOURCE, DOMAIN
from onnx2snn.ops.node import Node
from onnx2snn.runtime.graph import Graph

RELU = BY_SOURCE["Relu"].op_type
ADD_RELU = BY_SOURCE["AddRelu"].op_type
POOLS = (BY_SOURCE["MaxPool"].op_type, BY_SOURCE["GlobalMaxPool"].op_type)


def rectified_pools(nodes: Sequence[Node], graph: Graph) -> tuple[list[Node], dict[str, str]]:
    """Max pooling that nothing but a Relu feeds takes the Relu over: it never falls below 0.

    Only pools with fused sites do. Returns the nodes, and of every Relu that is gone the pool.
    """
    readers = Counter(name for node in nodes for name in node.inputs)
    readers.update(info.name for info in graph.outputs)
    relus = {node.outputs[0]: node for node in nodes if node.op_type == RELU}
    alone = {name: relu for name, relu in relus.items() if readers[name] == 1}
    merged: dict[str, str] = {}
    result = []
    for node in nodes:
        if node.op_type in POOLS and node.attributes["sites"] == "fused":
            relu = alone.get(node.inputs[0])
            if relu is not None:
                merged[relu.name] = node.name
                attributes = {**node.attributes, "floor": 0.0}
                node = replace(node, inputs=relu.inputs, attributes=attributes)
        result.append(node)
    return _without(result, merged), merged


# Sites whose spikes may come together in one stream. Whoever reads it pays for all of them.
MOST_TOGETHER = 3


@dataclass(frozen=True)
class _Way:
    """How spikes come to a tensor.

    depth: the most sites in a row.
    sites: nodes whose spikes reach it without passing through another site.
    """

    depth: int = 0
    sites: frozenset[str] = frozenset()

    def joined(self, other: _Way) -> _Way:
        """The way to a tensor made of two."""
        return _Way(max(self.depth, other.depth), self.sites | other.sites)


def bypassed_relus(nodes: Sequence[Node], graph: Graph) -> list[Node]:
    """Every Relu of a residual sum whose shortcut may bypass it becomes an AddRelu.

    The shortcut is the operand with fewer sites in a row behind it. It must have one, and not
    more than MOST_TOGETHER with the Relu's own.
    """
    readers = Counter(name for node in nodes for name in node.inputs)
    readers.update(info.name for info in graph.outputs)
    sums = {n.outputs[0]: n for n in nodes if n.op_type == "Add" and readers[n.outputs[0]] == 1}
    ways: dict[str, _Way] = {}
    replaced: set[str] = set()
    result = []
    for node in nodes:
        total = sums.get(node.inputs[0]) if node.op_type == RELU else None
        if total is not None:
            a, b = sorted(total.inputs, key=lambda name: ways.get(name, _Way()).depth)
            short, long = ways.get(a, _Way()), ways.get(b, _Way())
            if short.depth < long.depth and 0 < len(short.sites) < MOST_TOGETHER:
                replaced.add(total.outputs[0])
                node = replace(node, op_type=ADD_RELU, inputs=(a, b))
        way = reduce(_Way.joined, (ways.get(name, _Way()) for name in node.inputs), _Way())
        if node.domain == DOMAIN:
            passing = ways[node.inputs[0]].sites if node.op_type == ADD_RELU else frozenset[str]()
            way = _Way(way.depth + 1, passing | {node.name})
        ways.update(dict.fromkeys(node.outputs, way))
        result.append(node)
    return [node for node in result if not replaced.intersection(node.outputs)]


def _without(nodes: Iterable[Node], names: Iterable[str]) -> list[Node]:
    gone = set(names)
    return [node for node in nodes if node.name not in gone]
