"""Layer normalisation: y = (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.graph import (
    Pass,
    constant,
    each_node,
    insert_new,
    integers,
    is_op,
    new_constant,
    operand,
    producer,
    rank,
    replace,
    scalar,
)

NORMALISATIONS = ("LayerNormalization", "RMSNormalization")


@dataclass(frozen=True)
class Normalised:
    """What is normalised, over which axes, and what keeps the divisor above zero."""

    source: gs.Tensor
    axes: tuple[int, ...]
    epsilon: float


def mean_of(tensor: gs.Tensor) -> tuple[gs.Tensor, tuple[int, ...]] | None:
    """The operand and axes if `tensor` is a mean that keeps its axes."""
    node = producer(tensor)
    if not is_op(node, "ReduceMean") or node is None or not node.attrs.get("keepdims", 1):
        return None
    source, axes = node.inputs[0], integers(node, 1, "axes")
    count = rank(source)
    if count is None or not axes:
        return None
    return source, tuple(sorted(axis % count for axis in axes))


def centred(tensor: gs.Tensor) -> tuple[gs.Tensor, tuple[int, ...]] | None:
    """The x and axes of x - mean(x)."""
    node = producer(tensor)
    if node is None or not is_op(node, "Sub"):
        return None
    mean = mean_of(node.inputs[1])
    return mean if mean is not None and mean[0] is node.inputs[0] else None


def _square_root(tensor: gs.Tensor) -> gs.Tensor | None:
    node = producer(tensor)
    if node is None:
        return None
    root = is_op(node, "Sqrt") or (is_op(node, "Pow") and scalar(node.inputs[1]) == 0.5)
    return node.inputs[0] if root else None


def _inverse_root(tensor: gs.Tensor) -> gs.Tensor | None:
    node = producer(tensor)
    if node is None:
        return None
    if is_op(node, "Pow"):
        return node.inputs[0] if scalar(node.inputs[1]) == -0.5 else None
    if is_op(node, "Reciprocal"):
        return _square_root(node.inputs[0])
    if is_op(node, "Div") and scalar(node.inputs[0]) == 1:
        return _square_root(node.inputs[1])
    return None


def split_epsilon(tensor: gs.Tensor) -> tuple[gs.Tensor, float] | None:
    """The v and epsilon of v + epsilon."""
    node = producer(tensor)
    if node is None or not is_op(node, "Add"):
        return None
    for variance, offset in (node.inputs, reversed(node.inputs)):
        value = scalar(offset)
        if value is not None and value > 0:
            return variance, value
    return None


def squared(tensor: gs.Tensor) -> gs.Tensor | None:
    """The x of x^2."""
    node = producer(tensor)
    if node is None:
        return None
    if is_op(node, "Pow"):
        return node.inputs[0] if scalar(node.inputs[1]) == 2 else None
    first = node.inputs[0]
    return first if is_op(node, "Mul") and node.inputs[1] is first else None


def divided(
    node: gs.Node, match: Callable[[gs.Tensor, gs.Tensor | None], Normalised | None]
) -> Normalised | None:
    """`match` of c and r for c / sqrt(r) in its three forms: c / s, c * (1 / s), (1 / s) * c."""
    if is_op(node, "Div"):
        return match(node.inputs[0], _square_root(node.inputs[1]))
    if is_op(node, "Mul"):
        first, second = node.inputs
        return match(first, _inverse_root(second)) or match(second, _inverse_root(first))
    return None


def _normalised(numerator: gs.Tensor, radicand: gs.Tensor | None) -> Normalised | None:
    above, parts = centred(numerator), None if radicand is None else split_epsilon(radicand)
    if above is None or parts is None:
        return None
    variance, epsilon = parts
    spread = mean_of(variance)
    base = None if spread is None else squared(spread[0])
    if spread is None or base is None:
        return None
    below = above if base is numerator else centred(base)
    same = below is not None and below[0] is above[0] and above[1] == below[1] == spread[1]
    return Normalised(above[0], above[1], epsilon) if same else None


def _rewrite(graph: gs.Graph, node: gs.Node) -> bool:
    found = divided(node, _normalised)
    return found is not None and emit(graph, node, found, "LayerNormalization")


def emit(
    graph: gs.Graph, node: gs.Node, found: Normalised, op_type: str, domain: str | None = None
) -> bool:
    """Let one node with a scale of ones write the result of `node`, if the widths are known.

    Axes other than the last are moved there and back.
    """
    if found.source.shape is None or node.outputs[0].dtype is None:
        return False
    shape = list(found.source.shape)
    widths = [shape[axis] for axis in found.axes]
    if not all(isinstance(width, int) for width in widths) or prod(widths) > 1 << 24:
        return False
    inner = len(found.axes)
    order = [axis for axis in range(len(shape)) if axis not in found.axes] + list(found.axes)
    ones = np.ones(widths, dtype=node.outputs[0].dtype)
    scale = new_constant(graph, f"{node.outputs[0].name}_scale", ones)
    attributes = {"axis": -inner, "epsilon": found.epsilon}
    if order == sorted(order):
        replace(graph, node, op_type, [found.source, scale], attributes, domain)
        return True
    moved = [shape[axis] for axis in order]
    source = insert_new(graph, node, "Transpose", [found.source], moved, {"perm": order})
    result = insert_new(graph, node, op_type, [source, scale], moved, attributes, domain)
    back = [order.index(axis) for axis in range(len(order))]
    replace(graph, node, "Transpose", [result], {"perm": back})
    return True


def _trailing_axis(graph: gs.Graph, node: gs.Node) -> bool:
    """Count the first normalised axis from the end, as most exporters do."""
    if node.op not in NORMALISATIONS or node.attrs.get("axis", -1) < 0:
        return False
    count = rank(node.inputs[0])
    if count is None:
        return False
    node.attrs["axis"] = node.attrs["axis"] - count
    return True


def _explicit_bias(graph: gs.Graph, node: gs.Node) -> bool:
    """A zero bias where there is none: onnxruntime 1.31 dies of an absent one in a function."""
    if not is_op(node, "LayerNormalization") or operand(node, 2) is not None:
        return False
    scale = constant(node.inputs[1])
    if scale is None:
        return False
    zeros = new_constant(graph, f"{node.outputs[0].name}_bias", np.zeros_like(scale))
    node.inputs = [node.inputs[0], node.inputs[1], zeros]
    return True


LAYER_NORM = Pass(
    name="layer-norm",
    requires="shapes inferred, constants folded",
    ensures="each decomposed layer normalisation of known width is one LayerNormalization",
    run=each_node(_rewrite),
)
LAYER_NORM_AXIS = Pass(
    name="layer-norm-axis",
    requires="shapes inferred",
    ensures="LayerNormalization counts its axis from the end",
    run=each_node(_trailing_axis),
)
LAYER_NORM_BIAS = Pass(
    name="layer-norm-bias",
    requires="a bias behind LayerNormalization has been absorbed",
    ensures="LayerNormalization with a stored scale has a stored bias",
    run=each_node(_explicit_bias),
)
