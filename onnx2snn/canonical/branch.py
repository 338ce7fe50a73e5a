"""If with a stored condition: the branch that is taken, in its place."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.graph import Pass, constant, each_node, fresh_name, insert_before, is_op

_VALUES = {
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_int": np.int64,
    "value_ints": np.int64,
}


def _take(graph: gs.Graph, node: gs.Node) -> bool:
    condition = constant(node.inputs[0]) if is_op(node, "If") else None
    if condition is None or condition.size != 1:
        return False
    branch = node.attrs["then_branch" if condition.reshape(-1)[0] else "else_branch"]
    results = list(node.outputs)
    node.outputs.clear()
    for inner in branch.nodes:
        _stored(inner)
    moved = [inner for inner in branch.nodes if inner.outputs]
    own = {id(t): t for inner in moved for t in inner.outputs if not t.is_empty()}
    own |= {id(t): t for t in branch.tensors().values() if isinstance(t, gs.Constant)}
    for tensor in own.values():
        tensor.name = fresh_name(graph, tensor.name)
    position = next(i for i, other in enumerate(graph.nodes) if other is node)
    for inner in moved:
        inner.name = fresh_name(graph, inner.name or inner.outputs[0].name)
    graph.nodes[position:position] = moved
    for source, result in zip(branch.outputs, results, strict=True):
        insert_before(graph, node, "Identity", [source], [result], name=f"{result.name}_taken")
    node.inputs.clear()
    graph.nodes = [other for other in graph.nodes if other is not node]
    return True


def _stored(node: gs.Node) -> None:
    """Turn what a Constant node of the branch writes into a stored tensor."""
    if not is_op(node, "Constant"):
        return
    ((name, value),) = node.attrs.items()
    tensor = node.outputs[0]
    node.outputs.clear()
    held = value.values if isinstance(value, gs.Constant) else np.asarray(value, _VALUES[name])
    tensor.to_constant(np.asarray(held))


TAKE_BRANCH = Pass(
    name="take-branch",
    requires="constants folded",
    ensures="the condition of an If is computed",
    run=each_node(_take),
)
