"""Composite unary functions become one node: y = f(x), recognised by its values."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.cone import Cone, cones_below
from onnx2snn.canonical.elementwise import is_elementwise
from onnx2snn.canonical.functions import Match, recognise
from onnx2snn.canonical.graph import Pass, is_op, is_output, new_constant, replace

_ALONE = ("Max", "Min", "Clip", "PRelu", "Sum")


def _run(graph: gs.Graph) -> bool:
    """Results first, so that the largest sub-graph that is a known function wins."""
    changed = False
    for node in reversed(list(graph.nodes)):
        changed |= bool(node.outputs) and _rewrite(graph, node)
    return changed


def _rewrite(graph: gs.Graph, root: gs.Node) -> bool:
    kind = np.dtype(root.outputs[0].dtype) if _is_float(root.outputs[0]) else None
    is_read = bool(root.outputs[0].outputs) or is_output(graph, root.outputs[0])
    if kind is None or not is_read or not is_elementwise(root):
        return False
    for cone in cones_below(graph, root):
        alone = len(cone.nodes) == 1 and not is_op(root, *_ALONE)
        if alone or not _is_float(cone.source) or np.dtype(cone.source.dtype) != kind:
            continue
        match = recognise(cone, cone.constants(), half=kind.itemsize == 2)
        if match is not None and not (len(cone.nodes) == 1 and match.op_type == root.op):
            _emit(graph, cone, match, kind)
            return True
    return False


def _is_float(tensor: gs.Tensor) -> bool:
    return isinstance(tensor.dtype, np.dtype | type) and np.dtype(tensor.dtype).kind == "f"


def _emit(graph: gs.Graph, cone: Cone, match: Match, kind: np.dtype[np.generic]) -> None:
    root, operands, attributes = cone.root, [cone.source], dict(match.attributes)
    if match.op_type == "Clip":
        for bound in ("low", "high"):
            value = attributes.pop(bound, None)
            base = f"{root.outputs[0].name}_{bound}"
            operands.append(
                gs.Variable.empty()
                if value is None
                else new_constant(graph, base, np.asarray(value, kind))
            )
    replace(graph, root, match.op_type, operands, attributes, match.domain)


UNARY_FUNCTIONS = Pass(
    name="unary-functions",
    requires="shapes inferred, constants folded",
    ensures="each elementwise sub-graph of one tensor that is a known function is one node",
    run=_run,
)
