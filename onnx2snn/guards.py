"""Drops the guards that exporters put behind a softmax, one of whose rows may be masked entirely.

The spiking softmax is 0 there by itself, so it writes the guard's result in its stead:

    Where(IsNaN(s), 0, s)                          s = Softmax(x)
    Where(ReduceMax(m) == -inf, 0, s)              s = Softmax(x + m)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from onnx2snn.ops import BY_SOURCE
from onnx2snn.ops.node import Node
from onnx2snn.runtime.graph import Graph

_SOFTMAX = BY_SOURCE["Softmax"].op_type
_MAXIMA = ("ReduceMax", BY_SOURCE["ReduceMax"].op_type)

Writers = Mapping[str, Node]


def unguarded(nodes: Sequence[Node], graph: Graph) -> list[Node]:
    """The nodes without guards, and without what only a guard reads."""
    writer = {name: node for node in nodes for name in node.outputs}
    readers = Counter(name for node in nodes for name in node.inputs)
    readers.update(info.name for info in graph.outputs)
    renamed: dict[str, str] = {}
    dropped: set[str] = set()
    for node in nodes:
        tests = _tests(node, writer, graph)
        signal = node.inputs[2] if tests else ""
        own = sum(test.inputs.count(signal) for test in tests)
        if tests and readers[signal] == 1 + own and readers[node.inputs[0]] == 1:
            renamed[signal] = node.outputs[0]
            alone = [test for test in tests if readers[test.outputs[0]] == 1]
            dropped.update(name for one in (node, *alone) for name in one.outputs)
    return [
        replace(node, outputs=tuple(renamed.get(name, name) for name in node.outputs))
        for node in nodes
        if not dropped.intersection(node.outputs)
    ]


def _tests(node: Node, writer: Writers, graph: Graph) -> tuple[Node, ...]:
    """The nodes that compute the condition of a guard; none where the node is no guard."""
    if node.op_type != "Where" or node.domain:
        return ()
    condition, otherwise, signal = node.inputs
    test, softmax, zero = writer.get(condition), writer.get(signal), graph.constants.get(otherwise)
    if test is None or softmax is None or softmax.op_type != _SOFTMAX:
        return ()
    if zero is None or zero.any():
        return ()
    if test.op_type == "IsNaN" and test.inputs == (signal,):
        return (test,)
    largest = _row_maximum(test, writer, graph)
    masks = _summands(softmax.inputs[0], writer)
    if largest is None or largest.inputs[0] not in masks or softmax.attributes["axis"] != -1:
        return ()
    return (test, largest)


def _row_maximum(test: Node, writer: Writers, graph: Graph) -> Node | None:
    """The ReduceMax along the last axis that a node compares with minus infinity."""
    if test.op_type != "Equal" or test.domain:
        return None
    low = graph.constants.get(test.inputs[1])
    largest = writer.get(test.inputs[0])
    if low is None or not bool(np.isneginf(low).all()) or largest is None:
        return None
    return largest if largest.op_type in _MAXIMA and _is_last(largest, graph) else None


def _is_last(largest: Node, graph: Graph) -> bool:
    axes = largest.attributes.get("axes")
    if axes is None and len(largest.inputs) > 1:
        axes = graph.constants.get(largest.inputs[1])
    return axes is not None and [int(axis) for axis in axes] == [-1]


def _summands(tensor: str, writer: Writers) -> tuple[str, ...]:
    node = writer.get(tensor)
    return node.inputs if node is not None and node.op_type == "Add" else ()
