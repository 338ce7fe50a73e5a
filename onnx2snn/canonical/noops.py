"""Nodes that change nothing: y = x."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.exporters.onnx_exporter import dtype_to_onnx

from onnx2snn.canonical.graph import (
    Pass,
    bypass,
    constant,
    each_node,
    integers,
    is_constant,
    is_op,
    is_output,
    operand,
    redirect,
    remove,
    replace,
    scalar,
)


def _drop(graph: gs.Graph, node: gs.Node) -> bool:
    if any(tensor.outputs or is_output(graph, tensor) for tensor in node.outputs[1:]):
        return False
    if is_op(node, "Add", "Mul") and _neutral(node, 0):
        return _swap_operands(node) and bypass(graph, node)
    return _changes_nothing(node) and bypass(graph, node)


def _drop_empty(graph: gs.Graph, node: gs.Node) -> bool:
    """Concat without stored operands of no element, which onnxruntime passes over."""
    if not is_op(node, "Concat"):
        return False
    kept = [x for x in node.inputs if not (is_constant(x) and prod(x.shape) == 0)]
    if not kept or len(kept) == len(node.inputs):
        return False
    node.inputs = kept
    return True


def _changes_nothing(node: gs.Node) -> bool:
    source, result = node.inputs[0] if node.inputs else None, node.outputs[0]
    if source is None or source.is_empty() or node.domain not in (None, ""):
        return False
    match node.op:
        case "Identity":
            return True
        case "Dropout":
            return operand(node, 2) is None or scalar(operand(node, 2)) == 0.0
        case "Cast":
            return source.dtype is not None and bool(source.dtype == result.dtype)
        case "Reshape" | "Flatten" | "Expand" | "Squeeze" | "Unsqueeze":
            return _same_shape(source, result)
        case "Transpose":
            axes = node.attrs.get("perm")
            return axes is not None and list(axes) == sorted(axes)
        case "Concat" | "Sum" | "Max" | "Min" | "Mean":
            return len(node.inputs) == 1
        case "Pad":
            pads = integers(node, 1, "pads")
            return pads is not None and not any(pads)
        case "AveragePool" | "MaxPool":
            return _is_unit_pool(node)
        case "Add" | "Sub" | "Mul" | "Div":
            return _neutral(node, 1)
    return False


def _is_unit_pool(node: gs.Node) -> bool:
    attributes = (node.attrs.get("kernel_shape", [2]), node.attrs.get("strides", [1]))
    ones = all(value == 1 for values in attributes for value in values)
    return ones and not any(node.attrs.get("pads", []))


def _same_shape(source: gs.Tensor, result: gs.Tensor) -> bool:
    """Equal in every dimension; one that is unknown is equal only if all the others are."""
    if source.shape is None or result.shape is None or len(source.shape) != len(result.shape):
        return False
    pairs = list(zip(source.shape, result.shape, strict=True))
    doubtful = [a for a, b in pairs if a is None or a != b]
    return not doubtful


def _neutral(node: gs.Node, position: int) -> bool:
    """Whether that operand is all 0 (sum) or all 1 (product) and does not broadcast the other."""
    other, held = node.inputs[1 - position], operand(node, position)
    if not is_constant(held) or is_constant(other) or held is None or prod(held.shape) > 1 << 20:
        return False
    value = constant(held)
    neutral = 0 if node.op in ("Add", "Sub") else 1
    if value is None or not bool(np.all(value == neutral)):
        return False
    if other.shape is None or len(other.shape) < value.ndim:
        return False
    aligned = list(other.shape)[len(other.shape) - value.ndim :]
    return all(size in (1, dim) for size, dim in zip(value.shape, aligned, strict=True))


def _swap_operands(node: gs.Node) -> bool:
    first, second = list(node.inputs)
    node.inputs = [second, first]
    return True


def _cast_to_known(graph: gs.Graph, node: gs.Node) -> bool:
    """CastLike(x, y) = Cast(x) to the type of y."""
    if not is_op(node, "CastLike") or node.inputs[1].dtype is None:
        return False
    kind = dtype_to_onnx(node.inputs[1].dtype)
    replace(graph, node, "Cast", [node.inputs[0]], {"to": kind})
    return True


def _merge_twins(graph: gs.Graph) -> bool:
    """Let two linear data movements of the same tensor be one: Transpose, Reshape, Cast, Shape."""
    changed = False
    seen: dict[object, gs.Node] = {}
    for node in list(graph.nodes):
        if not is_op(node, "Transpose", "Reshape", "Flatten", "Cast", "Shape", "ReduceMean"):
            continue
        key = (node.op, tuple(t.name for t in node.inputs), repr(sorted(node.attrs.items())))
        twin = seen.setdefault(key, node)
        if twin is node or is_output(graph, node.outputs[0]):
            continue
        redirect(node.outputs[0], twin.outputs[0])
        remove(graph, node)
        changed = True
    return changed


DROP_NOOPS = Pass(
    name="drop-noops",
    requires="shapes inferred, constants folded",
    ensures="no Identity, inference Dropout, neutral Add or Mul, or reshaping to the same shape",
    run=lambda graph: any([each_node(_drop_empty)(graph), each_node(_drop)(graph)]),
)
PLAIN_CASTS = Pass(
    name="plain-casts",
    requires="types inferred",
    ensures="a cast names its type",
    run=each_node(_cast_to_known),
)
MERGE_TWINS = Pass(
    name="merge-twins",
    requires="nothing",
    ensures="a tensor is transposed, reshaped, cast or averaged in one way only once",
    run=_merge_twins,
)
