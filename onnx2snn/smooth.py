"""Leaves out the rounding of a quantised network where it is no activation.

A staircase that keeps its input within what calibration saw is a way to store it, which a spiking
network does not do; as a site of its own it costs accuracy at few time steps. One that cuts off
a side of its input (a rectifier merged into it) is an activation and stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from onnx2snn.ops.node import Node
from onnx2snn.runtime.graph import Graph

_STAIRCASES = ("FakeQuantize", "DynamicFakeQuantize")
_NEVER_NEGATIVE = ("Relu", "Sigmoid", "Softmax", "Abs", "Exp", "Softplus", "HardSigmoid", "Sqrt")
_KEEPING = (
    *("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Gather", "Split"),
    *("MaxPool", "GlobalMaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean", "Concat"),
)


def smoothed(graph: Graph) -> Graph:
    """The graph with Identity in place of every staircase that is no activation."""
    writers = {name: node for node in graph.nodes for name in node.outputs}
    given = {info.name for info in graph.inputs}
    nodes = [
        replace(node, op_type="Identity", inputs=node.inputs[:1], attributes={}, domain="")
        if _only_rounds(node, graph, writers, given)
        else node
        for node in graph.nodes
    ]
    return replace(graph, nodes=tuple(nodes))


def roundings(graph: Graph) -> int:
    """How many staircases of a graph that is not matched yet are no activations."""
    return sum(node.op_type == "Identity" for node in smoothed(graph).nodes) - sum(
        node.op_type == "Identity" for node in graph.nodes
    )


def _only_rounds(node: Node, graph: Graph, writers: Mapping[str, Node], given: set[str]) -> bool:
    if not node.domain or node.op_type not in _STAIRCASES:
        return False
    if node.op_type == "DynamicFakeQuantize" or node.inputs[0] in given:
        return True
    low, high = (graph.constants[name] for name in node.inputs[2:4])
    if (low < 0).all() and (high > 0).all():
        return True
    return bool((high > 0).all()) and _never_negative(node.inputs[0], graph, writers)


def _never_negative(name: str, graph: Graph, writers: Mapping[str, Node]) -> bool:
    node = writers.get(name)
    if node is None:
        return False
    if node.op_type == "FakeQuantize":
        return bool((graph.constants[node.inputs[2]] >= 0).all())
    if node.op_type in _NEVER_NEGATIVE:
        return True
    sources = node.inputs if node.op_type == "Concat" else node.inputs[:1]
    return node.op_type in _KEEPING and all(_never_negative(s, graph, writers) for s in sources)
