"""Batch normalisation folded into the linear node before it.

g (A x + a - m) / sqrt(v + e) + b = (k A) x + (k (a - m) + b)  with k = g / sqrt(v + e).
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.graph import (
    Array,
    Pass,
    bypass,
    constant,
    each_node,
    is_constant,
    is_op,
    is_output,
    new_constant,
    operand,
    producer,
    rank,
    replace,
)


def _fold(graph: gs.Graph, node: gs.Node) -> bool:
    factors = _factors(node)
    before = producer(node.inputs[0]) if node.inputs else None
    if factors is None or before is None or is_output(graph, node.inputs[0]):
        return False
    if len(node.inputs[0].outputs) != 1 or any(t.outputs for t in node.outputs[1:]):
        return False
    if len(before.inputs) < 2 or not is_constant(before.inputs[1]):
        return False
    scaled = _scaled_weight(before, factors[0])
    old = operand(before, 2)
    if scaled is None or (old is not None and not is_constant(old)):
        return False
    gain, offset = factors
    bias = offset if old is None else _row(old, gain.size)
    if bias is None:
        return False
    if old is not None:
        bias = gain * bias + offset
    return _store(graph, node, before, scaled, bias)


def _factors(node: gs.Node) -> tuple[Array, Array] | None:
    """k and b - k m in double precision."""
    if not is_op(node, "BatchNormalization") or node.attrs.get("training_mode", 0):
        return None
    if not all(is_constant(tensor) for tensor in node.inputs[1:5]):
        return None
    gain, bias, mean, variance = (np.asarray(t.values, np.float64) for t in node.inputs[1:5])
    k = gain / np.sqrt(variance + node.attrs.get("epsilon", 1e-5))
    return k, bias - k * mean


def _scaled_weight(before: gs.Node, k: Array) -> Array | None:
    """The weight times k along its output channels, None where it has another number of them."""
    weight = constant(before.inputs[1])
    if weight is None or weight.dtype.kind != "f":
        return None
    wide = weight.astype(np.float64)
    if is_op(before, "Conv"):
        return _times(wide, k, axis=0)
    if is_op(before, "ConvTranspose"):
        groups = before.attrs.get("group", 1)
        if wide.shape[0] % groups or wide.shape[1] * groups != k.size:
            return None
        parts = wide.reshape(groups, -1, *wide.shape[1:])
        by = k.reshape(groups, 1, -1, *(1,) * (wide.ndim - 2))
        return np.asarray((parts * by).reshape(wide.shape))
    plain = before.attrs.get("alpha", 1.0) == 1 and before.attrs.get("beta", 1.0) == 1
    if is_op(before, "Gemm") and plain:
        return _times(wide, k, axis=0 if before.attrs.get("transB", 0) else 1)
    if is_op(before, "MatMul") and rank(before.inputs[0]) == 2 and wide.ndim == 2:
        return _times(wide, k, axis=1)
    return None


def _row(tensor: gs.Tensor, size: int) -> Array | None:
    """A stored bias as a vector of one number per channel."""
    if tuple(tensor.shape) not in ((size,), (1, size)):
        return None
    return np.asarray(constant(tensor), np.float64).reshape(-1)


def _times(weight: Array, k: Array, axis: int) -> Array | None:
    if weight.shape[axis] != k.size:
        return None
    return np.asarray(weight * k.reshape([-1 if i == axis else 1 for i in range(weight.ndim)]))


def _store(graph: gs.Graph, node: gs.Node, before: gs.Node, weight: Array, bias: Array) -> bool:
    kind = np.asarray(before.inputs[1].values).dtype
    base = before.inputs[1].name
    if not bypass(graph, node):
        return False
    operands = [
        before.inputs[0],
        new_constant(graph, f"{base}_folded", weight.astype(kind)),
        new_constant(graph, f"{base}_folded_bias", bias.astype(kind)),
    ]
    if is_op(before, "MatMul"):
        replace(graph, before, "Gemm", operands)
    else:
        before.inputs = operands
    return True


FOLD_BATCH_NORM = Pass(
    name="fold-batch-norm",
    requires="shapes inferred, constants folded, Gemm in its one form",
    ensures="no BatchNormalization directly follows a linear node that only it reads",
    run=each_node(_fold),
)
