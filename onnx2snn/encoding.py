"""Puts the encoding of the network's input between its inputs and their readers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from onnx2snn.ops import DOMAIN, INPUT
from onnx2snn.ops.node import Node
from onnx2snn.rules import Encoding
from onnx2snn.runtime.graph import Graph


def encoded(graph: Graph, encoding: Encoding, neurons: dict[str, str]) -> Graph:
    """The graph with a SpikingInput node behind each floating-point input that a node reads.

    neurons: attributes common to all spiking nodes.
    """
    read = {name for node in graph.nodes for name in node.inputs}
    inputs = [i.name for i in graph.inputs if i.name in read and not graph.is_discrete(i.name)]
    names = dict(zip(inputs, fresh(inputs, graph, "encoded"), strict=True))
    attributes = {"coding": encoding.coding, "seed": encoding.seed, **neurons}
    encoders = [
        Node(INPUT.op_type, (name,), (result,), attributes, result, DOMAIN)
        for name, result in names.items()
    ]
    nodes = [
        replace(node, inputs=tuple(names.get(name, name) for name in node.inputs))
        for node in graph.nodes
    ]
    shapes = {names[name]: graph.shapes[name] for name in inputs if name in graph.shapes}
    return replace(graph, nodes=(*encoders, *nodes), shapes={**graph.shapes, **shapes})


def fresh(names: Iterable[str], graph: Graph, kind: str) -> Iterator[str]:
    """Names of tensors of a kind made from others, and of the nodes that make them."""
    used = {name for node in graph.nodes for name in (*node.inputs, *node.outputs, node.name)}
    for name in names:
        result = f"{name}/{kind}"
        while result in used:
            result += "_"
        yield result
