"""What the sub-graphs of a node read from around them: further operands, behind its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import onnx

from onnx2snn.ops.node import Node


def captured(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of outer tensors that sub-graphs among the attributes read, sorted."""
    graphs = [value for value in attributes.values() if isinstance(value, onnx.GraphProto)]
    return tuple(sorted(set().union(*map(_free_names, graphs))))


def standalone(node: Node, inputs: Sequence[str]) -> Node:
    """The node as ONNX writes it, where its operands are called `inputs`.

    Those that sub-graphs capture are no inputs of the node, but names within the sub-graphs.
    """
    names = captured(node.attributes)
    own = len(inputs) - len(names)
    new = dict(zip(names, inputs[own:], strict=True))
    attributes = {
        key: _renamed(value, new) if isinstance(value, onnx.GraphProto) and new else value
        for key, value in node.attributes.items()
    }
    return replace(node, inputs=tuple(inputs[:own]), attributes=attributes)


def _known(graph: onnx.GraphProto) -> set[str]:
    known = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    return known.union(*(node.output for node in graph.node))


def _bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    return [graph for attribute in node.attribute for graph in (attribute.g, *attribute.graphs)]


def _free_names(graph: onnx.GraphProto) -> set[str]:
    free = {value.name for value in graph.output}
    for node in graph.node:
        free.update(node.input, *map(_free_names, _bodies(node)))
    return free - _known(graph) - {""}


def _renamed(graph: onnx.GraphProto, new: Mapping[str, str]) -> onnx.GraphProto:
    copy = onnx.GraphProto()
    copy.CopyFrom(graph)
    _rename(copy, new)
    return copy


def _rename(graph: onnx.GraphProto, new: Mapping[str, str]) -> None:
    """Let the graph read other outer tensors, in place."""
    outer = {old: name for old, name in new.items() if old not in _known(graph)}
    for node in graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = outer.get(name, name)
        for body in _bodies(node):
            if body.node or body.output:
                _rename(body, outer)
