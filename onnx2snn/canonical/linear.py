"""One form for y = x W + b with stored W and b.

Gemm with alpha = beta = 1 where x is a matrix and there is a bias; MatMul, with an Add for
the bias if there is one, everywhere else. Weights keep the layout they were stored in.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.graph import (
    Array,
    Pass,
    constant,
    each_node,
    is_constant,
    is_op,
    new_constant,
    operand,
    rank,
    remove,
    replace,
    sole_reader,
)


def _join(graph: gs.Graph, node: gs.Node) -> bool:
    """Add(MatMul(x, W), b) = Gemm(x, W, b) for a matrix x and one number of b per column."""
    if not is_op(node, "MatMul") or rank(node.inputs[0]) != 2 or not is_constant(node.inputs[1]):
        return False
    weight, reader = node.inputs[1], sole_reader(graph, node.outputs[0])
    if len(weight.shape) != 2 or reader is None or not is_op(reader, "Add"):
        return False
    stored = [tensor for tensor in reader.inputs if is_constant(tensor)]
    bias = _per_column(stored[0], weight.shape[1]) if len(stored) == 1 else None
    if bias is None:
        return False
    name = node.name
    held = stored[0]
    if tuple(held.shape) != bias.shape:
        held = new_constant(graph, f"{reader.outputs[0].name}_bias", bias)
    joined = replace(graph, reader, "Gemm", [node.inputs[0], weight, held])
    joined.name = name
    remove(graph, node)
    return True


def _per_column(tensor: gs.Tensor, columns: int) -> Array | None:
    shape = tuple(tensor.shape)
    if (
        len(shape) > 2
        or any(size != 1 for size in shape[:-1])
        or shape[-1:]
        not in (
            (),
            (1,),
            (columns,),
        )
    ):
        return None
    value = constant(tensor)
    return None if value is None else np.broadcast_to(value.reshape(-1), (columns,))


def _normalise(graph: gs.Graph, node: gs.Node) -> bool:
    """Gemm with factors, or without bias: alpha A B + beta C = A (alpha B) + (beta C)."""
    if not is_op(node, "Gemm") or not is_constant(node.inputs[1]):
        return False
    bias, alpha, beta = operand(node, 2), node.attrs.get("alpha", 1.0), node.attrs.get("beta", 1.0)
    if bias is None and not node.attrs.get("transA", 0):
        return _without_bias(graph, node, alpha)
    if alpha == 1 and (beta == 1 or bias is None):
        return False
    if bias is not None and not is_constant(bias):
        return False
    node.inputs[1] = _times(graph, node, node.inputs[1], alpha, "weight")
    if bias is not None:
        node.inputs[2] = _times(graph, node, bias, beta, "bias")
    node.attrs["alpha"] = node.attrs["beta"] = 1.0
    return True


def _times(graph: gs.Graph, node: gs.Node, held: gs.Tensor, by: float, what: str) -> gs.Tensor:
    value = constant(held)
    if by == 1 or value is None:
        return held
    product = (value.astype(np.float64) * by).astype(value.dtype)
    return new_constant(graph, f"{node.outputs[0].name}_{what}", product)


def _without_bias(graph: gs.Graph, node: gs.Node, alpha: float) -> bool:
    weight = _times(graph, node, node.inputs[1], alpha, "weight")
    value = constant(weight)
    if node.attrs.get("transB", 0) and value is not None:
        weight = new_constant(graph, f"{node.outputs[0].name}_transposed", value.T)
    replace(graph, node, "MatMul", [node.inputs[0], weight])
    return True


GEMM_FACTORS = Pass(
    name="gemm-factors",
    requires="constants folded",
    ensures="a Gemm of stored weights has a bias, and neither alpha nor beta",
    run=each_node(_normalise),
)
MATMUL_TO_GEMM = Pass(
    name="matmul-to-gemm",
    requires="shapes inferred, constants folded",
    ensures="a matrix times stored weights plus a stored bias is one Gemm",
    run=each_node(_join),
)
