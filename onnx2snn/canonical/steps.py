"""Numbers made of comparisons: Cast(c) = Where(c, 1, 0) where c compares real numbers."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.graph import (
    Pass,
    constant,
    each_node,
    is_constant,
    is_op,
    new_constant,
    producer,
    replace,
)

_COMPARISONS = ("Less", "LessOrEqual", "Greater", "GreaterOrEqual")
_DEPTH = 8


def _is_float(tensor: gs.Tensor) -> bool:
    return isinstance(tensor.dtype, np.dtype | type) and np.dtype(tensor.dtype).kind == "f"


def _compares(tensor: gs.Tensor, depth: int = _DEPTH) -> bool:
    """Whether a truth value depends on a comparison of computed real numbers."""
    node = producer(tensor)
    if node is None or depth == 0:
        return False
    if is_op(node, *_COMPARISONS):
        return any(_is_float(operand) and not is_constant(operand) for operand in node.inputs)
    return is_op(node, "And", "Or", "Not") and any(
        _compares(operand, depth - 1) for operand in node.inputs
    )


def _choice(graph: gs.Graph, node: gs.Node) -> bool:
    if not is_op(node, "Cast") or not _is_float(node.outputs[0]) or not _compares(node.inputs[0]):
        return False
    kind, base = np.dtype(node.outputs[0].dtype), node.outputs[0].name
    one = new_constant(graph, f"{base}_one", np.ones((), kind))
    zero = new_constant(graph, f"{base}_zero", np.zeros((), kind))
    replace(graph, node, "Where", [node.inputs[0], one, zero])
    return True


def _exponent(graph: gs.Graph, node: gs.Node) -> bool:
    """Pow(x, p) with a stored p of the type of x, which the standard does not ask for."""
    if not is_op(node, "Pow") or not _is_float(node.inputs[0]):
        return False
    held, kind = constant(node.inputs[1]), np.dtype(node.inputs[0].dtype)
    if held is None or held.dtype == kind:
        return False
    base = f"{node.outputs[0].name}_exponent"
    node.inputs[1] = new_constant(graph, base, held.astype(kind))
    return True


STEPS = Pass(
    name="steps",
    requires="types inferred",
    ensures="no comparison of computed real numbers is cast to real numbers",
    run=each_node(_choice),
)
EXPONENTS = Pass(
    name="exponents",
    requires="types inferred, constants folded",
    ensures="a stored exponent has the type of its base",
    run=each_node(_exponent),
)
