"""Merges neighbouring spiking nodes where one population of neurons can do the work of two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from onnx2snn.ops import BY_SOURCE
from onnx2snn.ops.node import Node
from onnx2snn.runtime.graph import Graph

RELU = BY_SOURCE["Relu"].op_type
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


def _without(nodes: Iterable[Node], names: Iterable[str]) -> list[Node]:
    gone = set(names)
    return [node for node in nodes if node.name not in gone]
