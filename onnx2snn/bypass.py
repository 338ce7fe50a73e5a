"""Signals that pass by neurons, which send only what is left of their function.

Behind a residual sum they send what the block adds to its shortcut (`ops.add_relu`), elsewhere
what the linear part of their function leaves (`ops.passing`). Spikes arrive a site earlier then
and are not rounded again, but whoever reads the result pays for those of every site behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

from onnx2snn.ops import BY_OP_TYPE, BY_SOURCE, DOMAIN
from onnx2snn.ops.node import Node
from onnx2snn.ops.operator import PASSING
from onnx2snn.ops.passing import may_pass, normalises
from onnx2snn.rules import LINEAR, NONE
from onnx2snn.runtime.graph import Graph

RELU = BY_SOURCE["Relu"].op_type
ADD_RELU = BY_SOURCE["AddRelu"].op_type
# Sites whose spikes may come together in one stream. Whoever reads it pays for all of them.
MOST_TOGETHER = 3
# Of a part that passes, until `calibration.slopes` has seen data.
UNFITTED = 1.0


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


def bypassed(nodes: Sequence[Node], graph: Graph, bypass: str) -> list[Node]:
    """The nodes with those marked that signals may pass by.

    "residual": every Relu of a residual sum becomes an AddRelu, whose shortcut is the operand with
    fewer sites in a row behind it, but at least one. "linear": so, and the linear part passes by
    the sites that see nothing but the input, and by those of normalisations, of whose values it
    makes the most. No more than MOST_TOGETHER sites come together.
    """
    if bypass == NONE:
        return list(nodes)
    readers = Counter(name for node in nodes for name in node.inputs)
    readers.update(info.name for info in graph.outputs)
    sums = {n.outputs[0]: n for n in nodes if n.op_type == "Add" and readers[n.outputs[0]] == 1}
    ways: dict[str, _Way] = {}
    replaced: set[str] = set()
    result = []
    for node in nodes:
        passing = _Way()
        total = sums.get(node.inputs[0]) if node.op_type == RELU else None
        if total is not None:
            a, b = sorted(total.inputs, key=lambda name: ways.get(name, _Way()).depth)
            short, long = ways.get(a, _Way()), ways.get(b, _Way())
            if short.depth < long.depth and 0 < len(short.sites) < MOST_TOGETHER:
                replaced.add(total.outputs[0])
                node, passing = replace(node, op_type=ADD_RELU, inputs=(a, b)), short
        elif bypass == LINEAR and node.domain == DOMAIN:
            way = ways.get(node.inputs[0], _Way())
            if _lets_pass(node, way):
                attributes = {**node.attributes, PASSING: UNFITTED}
                node, passing = replace(node, attributes=attributes), way
        way = reduce(_Way.joined, (ways.get(name, _Way()) for name in node.inputs), _Way())
        if node.domain == DOMAIN:
            way = _Way(way.depth + 1, passing.sites | {node.name})
        ways.update(dict.fromkeys(node.outputs, way))
        result.append(node)
    return [node for node in result if not replaced.intersection(node.outputs)]


def _lets_pass(node: Node, way: _Way) -> bool:
    """Whether the linear part of a node's function is to pass by its site, if that is its only one.

    way: to the node's first operand.
    """
    sites = BY_OP_TYPE[node.op_type].lower(node).sites
    if len(sites) != 1 or sites[0].operands != node.inputs[:1] or not may_pass(sites[0].target):
        return False
    return not way.sites or (normalises(sites[0].target) and len(way.sites) < MOST_TOGETHER)
