"""Neurons that send what operators would see of the input beside spikes.

Where the input, through linear layers, joins spikes, as in a residual stream, each operator behind
multiplies it once. As spikes it costs accumulates, and some accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from onnx2snn.encoding import fresh
from onnx2snn.ops import DOMAIN, INPUT
from onnx2snn.ops.node import Node
from onnx2snn.runtime.graph import Graph
from onnx2snn.runtime.linear import LINEAR

_JOINING = ("Add", "Sub", "Sum", "Concat")


def relayed(nodes: Sequence[Node], graph: Graph, neurons: Mapping[str, str]) -> list[Node]:
    """The nodes with neurons wherever the input joins spikes in front of an operator with weights.

    neurons: attributes common to all spiking nodes.
    """
    meetings = _meetings(nodes, graph)
    joining = list(dict.fromkeys(name for names in meetings.values() for name in names))
    sent = dict(zip(joining, fresh(joining, graph, "sent"), strict=True))
    attributes, waiting = {"coding": "spikes", **neurons}, dict(sent)
    result = []
    for node in nodes:
        here = meetings.get(node.name, ())
        for name in here:
            if name in waiting:
                output = waiting.pop(name)
                result.append(Node(INPUT.op_type, (name,), (output,), attributes, output, DOMAIN))
        inputs = tuple(sent[name] if name in here else name for name in node.inputs)
        result.append(replace(node, inputs=inputs))
    return result


def _meetings(nodes: Sequence[Node], graph: Graph) -> dict[str, list[str]]:
    """By node where the input joins spikes: what the input makes through linear layers alone."""
    data = {info.name for info in graph.inputs if not graph.is_discrete(info.name)}
    weighted, spikes = _in_front_of_weights(nodes), set[str]()
    found = {}
    for node in nodes:
        if node.domain != DOMAIN and spikes.isdisjoint(node.inputs):
            if not data.isdisjoint(node.inputs):
                data.update(name for name in node.outputs if not graph.is_discrete(name))
            continue
        spikes.update(node.outputs)
        joining = [name for name in node.inputs if name in data]
        if joining and node.op_type in _JOINING and not weighted.isdisjoint(node.outputs):
            found[node.name] = joining
    return found


def _in_front_of_weights(nodes: Sequence[Node]) -> set[str]:
    """Tensors that reach an operator with weights without passing through a site."""
    found = set[str]()
    for node in reversed(nodes):
        operator = None if node.domain == DOMAIN else LINEAR.get(node.op_type)
        if operator is not None and (operator.is_weighted or not found.isdisjoint(node.outputs)):
            found.update(node.inputs)
    return found
