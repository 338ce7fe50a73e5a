"""If with a stored condition: the branch that is taken, in its place."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from onnx2snn.canonical.graph import Pass, constant, each_node, is_op
from onnx2snn.canonical.inline import finish, inline


def _take(graph: gs.Graph, node: gs.Node) -> bool:
    condition = constant(node.inputs[0]) if is_op(node, "If") else None
    if condition is None or condition.size != 1:
        return False
    branch = node.attrs["then_branch" if condition.reshape(-1)[0] else "else_branch"]
    return finish(graph, node, inline(graph, node, branch))


TAKE_BRANCH = Pass(
    name="take-branch",
    requires="constants folded",
    ensures="the condition of an If is computed",
    run=each_node(_take),
)
