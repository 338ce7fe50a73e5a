"""Puts the nodes of a sub-graph in the place of the node that runs it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.graph import insert_before, is_op, redirect

_VALUES = {
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_int": np.int64,
    "value_ints": np.int64,
}


def inline(
    graph: gs.Graph, node: gs.Node, body: gs.Graph, operands: Sequence[gs.Tensor] = ()
) -> list[gs.Tensor]:
    """A copy of the nodes of `body`, run by `node`, in front of it; what they result in."""
    outer = graph.tensors()
    copy = body.copy(outer)
    for inner in copy.nodes:
        _store(inner)
    moved = [inner for inner in copy.nodes if inner.outputs]
    own = {id(t): t for inner in moved for t in inner.outputs if not t.is_empty()}
    held = {id(t._values): t for t in outer.values() if isinstance(t, gs.Constant)}
    for tensor in copy.tensors().values():
        if isinstance(tensor, gs.Constant) and id(tensor._values) in held:
            redirect(tensor, held[id(tensor._values)])
        elif isinstance(tensor, gs.Constant):
            own[id(tensor)] = tensor
    given = dict(zip(map(id, copy.inputs), operands, strict=True))
    for tensor, operand in zip(copy.inputs, operands, strict=True):
        redirect(tensor, operand)
    taken = set(outer) | {other.name for other in graph.nodes}
    for named in (*own.values(), *moved):
        named.name = _fresh(taken, named.name or node.name)
    position = next(i for i, other in enumerate(graph.nodes) if other is node)
    graph.nodes[position:position] = moved
    return [given.get(id(tensor), tensor) for tensor in copy.outputs]


def finish(graph: gs.Graph, node: gs.Node, results: Iterable[gs.Tensor]) -> bool:
    """Let `results` be what `node` writes, and take it out of the graph."""
    written = list(node.outputs)
    node.outputs.clear()
    for source, result in zip(results, written, strict=True):
        if not result.is_empty():
            insert_before(graph, node, "Identity", [source], [result], name=f"{result.name}_taken")
    _let_go(node)
    graph.nodes = [other for other in graph.nodes if other is not node]
    return True


def _fresh(taken: set[str], base: str) -> str:
    """A name derived from `base` that is not yet taken, and is from now on."""
    name, number = base, 0
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    taken.add(name)
    return name


def _let_go(node: gs.Node) -> None:
    """Have neither the node nor its sub-graphs read anything."""
    node.inputs.clear()
    for body in node.subgraphs():
        for inner in body.nodes:
            _let_go(inner)


def _store(node: gs.Node) -> None:
    """Turn what a Constant node of the sub-graph writes into a stored tensor."""
    if not is_op(node, "Constant"):
        return
    ((name, value),) = node.attrs.items()
    tensor = node.outputs[0]
    node.outputs.clear()
    held = value.values if isinstance(value, gs.Constant) else np.asarray(value, _VALUES[name])
    tensor.to_constant(np.asarray(held))
