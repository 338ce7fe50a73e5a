"""MatMulNBits: weights in blocks of few bits become floats, y = x ((q - z) s)^T + b."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.graph import (
    Array,
    Pass,
    constant,
    each_node,
    insert_new,
    new_constant,
    operand,
    replace,
)

_LARGEST_WEIGHT = 1 << 27


def _unpack(node: gs.Node) -> Array | None:
    """The weight of K rows and N columns."""
    rows, columns, bits = (int(node.attrs[key]) for key in ("K", "N", "bits"))
    block = int(node.attrs["block_size"])
    packed, scale = constant(node.inputs[1]), constant(node.inputs[2])
    if packed is None or scale is None or bits not in (2, 4, 8) or rows * columns > _LARGEST_WEIGHT:
        return None
    blocks = -(-rows // block)
    steps = _numbers(packed.reshape(columns, -1), bits)[:, : blocks * block]
    zero = _zeros(node, columns, blocks, bits)
    if zero is None:
        return None
    gain = scale.reshape(columns, blocks, 1).astype(np.float32)
    weight = (steps.reshape(columns, blocks, block) - zero) * gain
    flat = weight.reshape(columns, -1)[:, :rows]
    return np.ascontiguousarray(flat.T).astype(scale.dtype)


def _zeros(node: gs.Node, columns: int, blocks: int, bits: int) -> Array | None:
    tensor = operand(node, 3)
    if tensor is None:
        return np.full((1, 1, 1), float(1 << (bits - 1)), np.float32)
    held = constant(tensor)
    if held is None:
        return None
    if held.dtype.kind == "f":
        return held.reshape(columns, blocks, 1).astype(np.float32)
    numbers = _numbers(held.reshape(columns, -1), bits)
    return np.asarray(numbers[:, :blocks].reshape(columns, blocks, 1))


def _numbers(packed: Array, bits: int) -> Array:
    """The numbers in each row of bytes, the lowest bits first."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    parts = (packed[..., None] >> shifts) & np.uint8((1 << bits) - 1)
    return parts.reshape(packed.shape[0], -1).astype(np.float32)


def _plain(graph: gs.Graph, node: gs.Node) -> bool:
    if node.op != "MatMulNBits" or node.domain != "com.microsoft":
        return False
    if operand(node, 4) is not None or node.attrs.get("weight_prepacked", 0):
        return False
    weight = _unpack(node)
    if weight is None:
        return False
    stored = new_constant(graph, f"{node.inputs[1].name}_real", weight)
    bias = operand(node, 5)
    if bias is None:
        replace(graph, node, "MatMul", [node.inputs[0], stored])
    else:
        y = insert_new(graph, node, "MatMul", [node.inputs[0], stored], node.outputs[0].shape)
        replace(graph, node, "Add", [y, bias])
    return True


PLAIN_WEIGHTS = Pass(
    name="plain-weights",
    requires="constants folded",
    ensures="no MatMulNBits, unless its weights are computed, reordered or huge",
    run=each_node(_plain),
)
