"""What every pass shares: the record of a pass and the vocabulary to read and edit a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_graphsurgeon as gs

Array = npt.NDArray[Any]
_LONGEST_LIST = 64
DEFAULT_DOMAINS = (None, "", "ai.onnx")


@dataclass(frozen=True)
class Pass:
    """One rewriting of a graph.

    requires: what must hold before, for the pass to find what it looks for.
    ensures:  what holds after it.
    run:      edits the graph in place and says whether it changed anything. Nodes left
              without a reader are removed by the pipeline.
    """

    name: str
    requires: str
    ensures: str
    run: Callable[[gs.Graph], bool]


def each_node(rewrite: Callable[[gs.Graph, gs.Node], bool]) -> Callable[[gs.Graph], bool]:
    """The pass body that tries `rewrite` on every node of the main graph, inputs first."""

    def run(graph: gs.Graph) -> bool:
        changed = [rewrite(graph, node) for node in list(graph.nodes) if node.outputs]
        return any(changed)

    return run


def is_op(node: gs.Node | None, *op_types: str) -> bool:
    """Whether `node` is one of these operators of the default domain."""
    return node is not None and node.domain in DEFAULT_DOMAINS and node.op in op_types


def producer(tensor: gs.Tensor) -> gs.Node | None:
    """The node that writes `tensor`; None for inputs, constants and absent operands."""
    return tensor.inputs[0] if tensor.inputs else None


def operand(node: gs.Node, position: int) -> gs.Tensor | None:
    """Input number `position`, None where it is absent."""
    if position >= len(node.inputs) or node.inputs[position].is_empty():
        return None
    return node.inputs[position]


def is_constant(tensor: gs.Tensor | None) -> bool:
    """Whether the value of `tensor` is stored in the model."""
    return isinstance(tensor, gs.Constant)


def constant(tensor: gs.Tensor | None) -> Array | None:
    """The stored value of `tensor`, None where it is computed or absent."""
    return np.asarray(tensor.values) if isinstance(tensor, gs.Constant) else None


def scalar(tensor: gs.Tensor | None) -> float | None:
    """The value of a stored number of one element, None for anything else."""
    if not isinstance(tensor, gs.Constant) or np.prod(tensor.shape) != 1:
        return None
    value = np.asarray(tensor.values)
    return float(value.reshape(-1)[0]) if value.dtype.kind in "fiub" else None


def integers(node: gs.Node, position: int, attribute: str) -> list[int] | None:
    """A list of integers held as input `position` or, in older forms, as an attribute."""
    tensor = operand(node, position)
    if isinstance(tensor, gs.Constant) and np.prod(tensor.shape) <= _LONGEST_LIST:
        held = np.asarray(tensor.values)
        return [int(v) for v in held.reshape(-1)] if held.dtype.kind in "iu" else None
    if tensor is not None or attribute not in node.attrs:
        return None
    return [int(v) for v in node.attrs[attribute]]


def rank(tensor: gs.Tensor) -> int | None:
    """The number of axes, None where inference could not tell."""
    return None if tensor.shape is None else len(tensor.shape)


def is_output(graph: gs.Graph, tensor: gs.Tensor) -> bool:
    """Whether `tensor` leaves the graph."""
    return any(output is tensor for output in graph.outputs)


def sole_reader(graph: gs.Graph, tensor: gs.Tensor) -> gs.Node | None:
    """The only reader of `tensor`; None if it has more, leaves the graph or enters a sub-graph."""
    if len(tensor.outputs) != 1 or is_output(graph, tensor):
        return None
    return tensor.outputs[0] if holds(graph, tensor.outputs[0]) else None


def holds(graph: gs.Graph, node: gs.Node) -> bool:
    """Whether `node` is in the main graph rather than in a sub-graph."""
    return any(other is node for other in graph.nodes)


def fresh_name(graph: gs.Graph, base: str) -> str:
    """A name derived from `base` that neither a tensor nor a node of the graph bears."""
    taken = set(graph.tensors()) | {node.name for node in graph.nodes}
    number = 0
    while (name := f"{base}_{number}" if number else base) in taken:
        number += 1
    return name


def new_constant(graph: gs.Graph, base: str, value: Array) -> gs.Constant:
    """A stored tensor with a name of its own."""
    return gs.Constant(fresh_name(graph, base), np.array(value, order="C"))


def insert_before(
    graph: gs.Graph,
    anchor: gs.Node,
    op_type: str,
    inputs: Iterable[gs.Tensor],
    outputs: Iterable[gs.Tensor],
    attributes: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    domain: str | None = None,
) -> gs.Node:
    """Add a node at the place of `anchor`, whose name it takes unless given another."""
    position = next(i for i, node in enumerate(graph.nodes) if node is anchor)
    node = gs.Node(
        op_type,
        name=anchor.name if name is None else name,
        attrs=dict(attributes or {}),
        domain=domain,
        inputs=list(inputs),
    )
    graph.nodes.insert(position, node)
    node.outputs = list(outputs)
    return node


def insert_new(
    graph: gs.Graph,
    anchor: gs.Node,
    op_type: str,
    inputs: Iterable[gs.Tensor],
    shape: list[Any] | None,
    attributes: Mapping[str, Any] | None = None,
    domain: str | None = None,
) -> gs.Tensor:
    """Add an extra node before `anchor` and hand back the new tensor it writes."""
    base = f"{anchor.name or anchor.outputs[0].name}_{op_type}"
    like = anchor.outputs[0]
    result = gs.Variable(fresh_name(graph, base), dtype=like.dtype, shape=shape)
    insert_before(
        graph, anchor, op_type, inputs, [result], attributes, name=result.name, domain=domain
    )
    return result


def replace(
    graph: gs.Graph,
    old: gs.Node,
    op_type: str,
    inputs: Iterable[gs.Tensor],
    attributes: Mapping[str, Any] | None = None,
    domain: str | None = None,
) -> gs.Node:
    """Let one new node write the first output of `old`, under the same name and place."""
    result = old.outputs[0]
    operands = list(inputs)
    node = insert_before(graph, old, op_type, operands, [], attributes, domain=domain)
    old.outputs.clear()
    node.outputs = [result]
    remove(graph, old)
    return node


def remove(graph: gs.Graph, node: gs.Node) -> None:
    """Take `node` out of the graph, whatever it is still attached to."""
    node.inputs.clear()
    node.outputs.clear()
    position = next(i for i, other in enumerate(graph.nodes) if other is node)
    del graph.nodes[position]


def redirect(old: gs.Tensor, new: gs.Tensor) -> None:
    """Let every reader of `old` read `new`."""
    for node in list(old.outputs):
        for position, tensor in enumerate(list(node.inputs)):
            if tensor is old:
                node.inputs[position] = new


def bypass(graph: gs.Graph, node: gs.Node) -> bool:
    """Remove a node whose first output equals its first input; False where names forbid it.

    The names of graph inputs and outputs are kept: a node that joins two of them stays, as
    does one that turns a stored tensor into an output.
    """
    source, result = node.inputs[0], node.outputs[0]
    if not is_output(graph, result):
        redirect(result, source)
        remove(graph, node)
        return True
    writer = producer(source)
    if writer is None or is_output(graph, source) or not holds(graph, writer):
        return False
    remove(graph, node)
    redirect(source, result)
    position = next(i for i, tensor in enumerate(writer.outputs) if tensor is source)
    writer.outputs[position] = result
    return True
