"""Gain and bias behind a normalisation: (n(x) * s + b) * g + h = n(x) * sg + (bg + h)."""

from __future__ import annotations

from math import prod

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
    new_constant,
    operand,
    rank,
    sole_reader,
)
from onnx2snn.canonical.layer_norm import NORMALISATIONS

_LARGE = 1 << 24


def _absorb(graph: gs.Graph, node: gs.Node) -> bool:
    if node.op not in NORMALISATIONS or not is_constant(node.inputs[1]):
        return False
    only_gain = not is_op(node, "LayerNormalization")
    bias = operand(node, 2)
    if bias is not None and not is_constant(bias):
        return False
    reader, order = sole_reader(graph, node.outputs[0]), None
    if reader is not None and is_op(reader, "Transpose"):
        order = list(reader.attrs.get("perm", []))
        reader = sole_reader(graph, reader.outputs[0])
    held = _gain_or_bias(reader) if reader is not None else None
    if reader is None or held is None or (bias is not None and is_op(reader, "Mul")):
        return False
    if only_gain and not is_op(reader, "Mul"):
        return False
    value = _along_axes(held, node, order)
    return value is not None and _move(graph, node, reader, value)


def _gain_or_bias(reader: gs.Node) -> gs.Tensor | None:
    if not is_op(reader, "Mul", "Add") or is_constant(reader.inputs[0]) == is_constant(
        reader.inputs[1]
    ):
        return None
    return reader.inputs[0] if is_constant(reader.inputs[0]) else reader.inputs[1]


def _along_axes(held: gs.Tensor, node: gs.Node, order: list[int] | None) -> Array | None:
    """The stored tensor in the shape of the scale, None if it varies along another axis."""
    count, inner = rank(node.inputs[0]), len(node.inputs[1].shape)
    if count is None or len(held.shape) > count or prod(held.shape) > _LARGE:
        return None
    value = constant(held)
    if value is None or node.attrs.get("axis", -1) not in (-inner, count - inner):
        return None
    value = value.reshape((1,) * (count - value.ndim) + value.shape)
    if order is not None:
        if len(order) != count:
            return None
        value = value.transpose([order.index(axis) for axis in range(count)])
    widths = tuple(node.inputs[1].shape)
    if any(size != 1 for size in value.shape[: count - inner]):
        return None
    tail = value.shape[count - inner :]
    fits = all(size in (1, width) for size, width in zip(tail, widths, strict=True))
    return np.broadcast_to(value.reshape(tail), widths) if fits else None


def _move(graph: gs.Graph, node: gs.Node, reader: gs.Node, value: Array) -> bool:
    scale, bias = constant(node.inputs[1]), constant(operand(node, 2))
    if scale is None:
        return False
    position = 0 if not is_constant(reader.inputs[0]) else 1
    if position:
        reader.inputs = list(reversed(list(reader.inputs)))
    is_gain = is_op(reader, "Mul")
    if not bypass(graph, reader):
        return False
    wide = value.astype(np.float64)
    if is_gain:
        moved = (scale * wide).astype(scale.dtype)
        node.inputs[1] = new_constant(graph, f"{node.outputs[0].name}_scale", moved)
        return True
    moved = (wide if bias is None else bias + wide).astype(scale.dtype)
    stored = new_constant(graph, f"{node.outputs[0].name}_bias", moved)
    node.inputs = [node.inputs[0], node.inputs[1], stored]
    return True


ABSORB_AFFINE = Pass(
    name="absorb-affine",
    requires="shapes inferred, layer normalisations found",
    ensures="a gain along the normalised axes, and the bias of a layer normalisation, are operands",
    run=each_node(_absorb),
)
