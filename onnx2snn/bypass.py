"""Signals that pass by neurons, which send only what is left of their function.

Behind a residual sum they send what the block adds to its shortcut (`ops.add_relu`), elsewhere
what the linear part of their function leaves (`ops.passing`). Spikes arrive a site earlier then
and are not rounded again, but whoever reads the result pays for those of every site behind it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from onnx2snn.ops import BY_OP_TYPE, BY_SOURCE, DOMAIN
from onnx2snn.ops.node import Node
from onnx2snn.ops.operator import PASSING
from onnx2snn.ops.passing import may_pass, normalises
from onnx2snn.rules import ALL, BY_DEPTH, FEW_TOGETHER, LINEAR, NONE, RESIDUAL
from onnx2snn.runtime.graph import Graph

RELU = BY_SOURCE["Relu"].op_type
ADD_RELU = BY_SOURCE["AddRelu"].op_type
# Of a part that passes, until `calibration.slopes` has seen data.
UNFITTED = 1.0
# Sites in a row, so many that what their errors add up to is worth slower operators.
DEEP = 12
# Neurons whose values a processor's cache still holds, so that operators are not much slower.
SMALL = 1 << 16


class _Ways:
    """By tensor: nodes whose spikes come to it without passing through another site."""

    def __init__(self) -> None:
        self._sites: dict[str, frozenset[str]] = {}

    def to(self, names: Sequence[str]) -> frozenset[str]:
        """Those that come to what is made of these tensors."""
        return frozenset[str]().union(*(self._sites.get(name, ()) for name in names))

    def follow(self, node: Node, passing: frozenset[str]) -> None:
        """To the results of a node; of a spiking one its own, and those that pass by it."""
        way = passing | {node.name} if node.domain == DOMAIN else self.to(node.inputs)
        self._sites.update(dict.fromkeys(node.outputs, way))


def by_depth(bypass: str, nodes: Sequence[Node], graph: Graph) -> str:
    """What is to pass: `bypass`, or in place of "by depth" what suits the network.

    "all" with DEEP sites in a row or more and at most SMALL neurons for a sample, else "linear".
    """
    if bypass != BY_DEPTH:
        return bypass
    is_deep = max(_depths(nodes).values(), default=0) >= DEEP
    neurons = sum(_neurons(node, graph) for node in nodes if node.domain == DOMAIN)
    return ALL if is_deep and neurons <= SMALL else LINEAR


def _depths(nodes: Sequence[Node]) -> dict[str, int]:
    """By tensor: the most spiking nodes in a row that come to it."""
    depths: dict[str, int] = {}
    for node in nodes:
        depth = max((depths.get(name, 0) for name in node.inputs), default=0)
        depths.update(dict.fromkeys(node.outputs, depth + (node.domain == DOMAIN)))
    return depths


def _neurons(node: Node, graph: Graph) -> float:
    """Neurons that send a spiking node's result for one sample; infinite where axes are open."""
    shape = graph.shapes.get(node.outputs[0], (None, None))[1:]
    return math.prod(size if isinstance(size, int) else math.inf for size in shape)


def bypassed(nodes: Sequence[Node], graph: Graph, bypass: str) -> list[Node]:
    """The nodes with those marked that signals may pass by.

    "residual": every Relu of a residual sum becomes an AddRelu, whose shortcut is the operand with
    fewer sites in a row behind it, but at least one. "linear": so, and the linear part passes by
    the sites that see nothing but the input, and by those of normalisations, of whose values it
    makes the most; no more than FEW_TOGETHER sites come together. "all": the linear part passes by
    every site that has one, and of a residual sum as much as of any other value; `limited` is to
    follow once slopes are known.
    """
    if bypass == NONE:
        return list(nodes)
    if bypass == ALL:
        return [with_slope(n, UNFITTED) if _has_linear_part(n) else n for n in nodes]
    readers = Counter(name for node in nodes for name in node.inputs)
    readers.update(info.name for info in graph.outputs)
    sums = {n.outputs[0]: n for n in nodes if n.op_type == "Add" and readers[n.outputs[0]] == 1}
    depths, ways = _depths(nodes), _Ways()
    replaced: set[str] = set()
    result = []
    for node in nodes:
        passing = frozenset[str]()
        total = sums.get(node.inputs[0]) if node.op_type == RELU else None
        if total is not None:
            a, b = sorted(total.inputs, key=lambda name: depths.get(name, 0))
            is_shorter = depths.get(a, 0) < depths.get(b, 0)
            if is_shorter and 0 < len(ways.to((a,))) < FEW_TOGETHER:
                replaced.add(total.outputs[0])
                node, passing = replace(node, op_type=ADD_RELU, inputs=(a, b)), ways.to((a,))
        elif bypass != RESIDUAL and _has_linear_part(node):
            way = ways.to(node.inputs[:1])
            if not way or (_normalises(node) and len(way) < FEW_TOGETHER):
                node, passing = with_slope(node, UNFITTED), way
        ways.follow(node, passing)
        result.append(node)
    return [node for node in result if not replaced.intersection(node.outputs)]


def limited(nodes: Sequence[Node], together: int) -> list[Node]:
    """The nodes of "all", so that no more than `together` sites come together in one stream.

    Where more would, neurons send the whole.
    """
    ways = _Ways()
    result = []
    for node in nodes:
        way = ways.to(node.inputs)
        passes = bool(node.attributes.get(PASSING)) and len(way) < together
        if node.domain == DOMAIN and not passes:
            node = with_slope(node, 0.0)
        ways.follow(node, way if passes else frozenset())
        result.append(node)
    return result


def _has_linear_part(node: Node) -> bool:
    """Whether it is spiking, has one site, and a linear part could pass by that."""
    if node.domain != DOMAIN:
        return False
    sites = BY_OP_TYPE[node.op_type].lower(node).sites
    return len(sites) == 1 and sites[0].operands == node.inputs[:1] and may_pass(sites[0].target)


def _normalises(node: Node) -> bool:
    (site,) = BY_OP_TYPE[node.op_type].lower(node).sites
    return normalises(site.target)


def with_slope(node: Node, slope: float) -> Node:
    """The node with so much of its linear part passing; with slope 0 neurons send the whole."""
    others = {name: value for name, value in node.attributes.items() if name != PASSING}
    return replace(node, attributes={**others, PASSING: slope} if slope else others)
