"""How nodes hang together: every tensor written once, before it is read."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from onnx2snn.ops.errors import ModelError


def check_wiring(graph: onnx.GraphProto) -> None:
    """Raise ModelError for missing, double or cyclic writers; sort nodes that are out of order."""
    given = {value.name for value in graph.input}
    given |= {tensor.name for tensor in graph.initializer}
    given |= {tensor.values.name for tensor in graph.sparse_initializer}
    writers = _writers(graph, given)
    for node in graph.node:
        for name in read_names(node):
            if name not in given and name not in writers:
                raise ModelError(
                    f"node {_label(node)}: reads tensor {name!r}, which nothing writes; "
                    "export the model again"
                )
    for value in graph.output:
        if value.name not in given and value.name not in writers:
            raise ModelError(f"output {value.name!r} is written by no node; export again")
    order = _order(graph, writers)
    if order != list(range(len(graph.node))):
        nodes = [onnx.NodeProto() for _ in order]
        for copy, position in zip(nodes, order, strict=True):
            copy.CopyFrom(graph.node[position])
        del graph.node[:]
        graph.node.extend(nodes)


def name_apart(graph: onnx.GraphProto) -> None:
    """Give nodes of one name, which onnxruntime refuses, names of their own, in place."""
    taken = {node.name for node in graph.node}
    seen = {""}
    for node in graph.node:
        if node.name in seen and node.name:
            number = 2
            while f"{node.name}_{number}" in taken:
                number += 1
            node.name = f"{node.name}_{number}"
            taken.add(node.name)
        seen.add(node.name)


def read_names(node: onnx.NodeProto) -> list[str]:
    """Tensors a node reads from the graph it is in, those its sub-graphs capture included."""
    names = [name for name in node.input if name]
    for graph in _subgraphs(node):
        inner = {value.name for value in graph.input}
        inner |= {tensor.name for tensor in graph.initializer}
        inner |= {tensor.values.name for tensor in graph.sparse_initializer}
        inner |= {name for n in graph.node for name in n.output}
        names += [name for n in graph.node for name in read_names(n) if name not in inner]
        names += [value.name for value in graph.output if value.name not in inner]
    return names


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _writers(graph: onnx.GraphProto, given: set[str]) -> dict[str, int]:
    writers: dict[str, int] = {}
    for position, node in enumerate(graph.node):
        for name in node.output:
            if not name:
                continue
            if name in writers or name in given:
                other = _label(graph.node[writers[name]]) if name in writers else "an input"
                raise ModelError(
                    f"node {_label(node)}: writes tensor {name!r}, as does {other}; "
                    "give every tensor one writer"
                )
            writers[name] = position
    return writers


def _order(graph: onnx.GraphProto, writers: dict[str, int]) -> list[int]:
    """Positions in which every node follows those it reads from, as close to given as can be."""
    needs = [{writers[n] for n in read_names(node) if n in writers} for node in graph.node]
    if all(max(before, default=-1) < position for position, before in enumerate(needs)):
        return list(range(len(needs)))
    order: list[int] = []
    placed: set[int] = set()
    waiting = list(range(len(needs)))
    while waiting:
        ready = [position for position in waiting if needs[position] <= placed]
        if not ready:
            names = ", ".join(_label(graph.node[position]) for position in waiting[:3])
            raise ModelError(f"nodes {names}: read each other's results in a cycle")
        order += ready
        placed.update(ready)
        waiting = [position for position in waiting if position not in placed]
    return order


def _label(node: onnx.NodeProto) -> str:
    return repr(node.name) if node.name else f"{node.op_type} -> {', '.join(node.output)!r}"
