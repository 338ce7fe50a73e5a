"""One form for reshaping and transposing, and for the mean over the spatial axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.graph import (
    Pass,
    constant,
    each_node,
    integers,
    is_op,
    new_constant,
    producer,
    rank,
    remove,
    replace,
    sole_reader,
)


def _flatten(graph: gs.Graph, node: gs.Node) -> bool:
    """Reshape(x, [0, n]) = Flatten(x, axis=1): all but the leading dimension in one."""
    if not is_op(node, "Reshape") or (rank(node.inputs[0]) or 0) < 2:
        return False
    shape = constant(node.inputs[1])
    if shape is None or shape.size != 2 or shape[0] != 0 or node.attrs.get("allowzero", 0):
        return False
    replace(graph, node, "Flatten", [node.inputs[0]], {"axis": 1})
    return True


def _merge_transposes(graph: gs.Graph, node: gs.Node) -> bool:
    """transpose_q(transpose_p(x)) = transpose_pq(x); a missing perm is spelled out."""
    if not is_op(node, "Transpose"):
        return False
    count = rank(node.inputs[0])
    spelled = "perm" not in node.attrs and count is not None
    if spelled and count is not None:
        node.attrs["perm"] = list(range(count))[::-1]
    before = producer(node.inputs[0])
    if before is None or not is_op(before, "Transpose"):
        return spelled
    inner, outer = before.attrs.get("perm"), node.attrs.get("perm")
    if inner is None or outer is None:
        return spelled
    node.inputs[0] = before.inputs[0]
    node.attrs["perm"] = [inner[axis] for axis in outer]
    return True


def _spatial_mean(graph: gs.Graph, node: gs.Node) -> bool:
    """GlobalAveragePool, and AveragePool over the whole image, as ReduceMean over axes 2...."""
    if not is_op(node, "GlobalAveragePool", "AveragePool"):
        return False
    shape = node.inputs[0].shape
    if shape is None or len(shape) < 3 or (node.op == "AveragePool" and not _covers(node, shape)):
        return False
    axes = np.arange(2, len(shape), dtype=np.int64)
    stored = new_constant(graph, f"{node.outputs[0].name}_axes", axes)
    replace(graph, node, "ReduceMean", [node.inputs[0], stored], {"keepdims": 1})
    return True


def _covers(node: gs.Node, shape: list[Any]) -> bool:
    """Whether the one window of an AveragePool is the whole image."""
    pads, dilations = node.attrs.get("pads", []), node.attrs.get("dilations", [])
    simple = not any(pads) and all(d == 1 for d in dilations)
    auto = node.attrs.get("auto_pad", "NOTSET") in ("NOTSET", "VALID")
    return simple and auto and list(node.attrs["kernel_shape"]) == list(shape[2:])


def _mean_axes(graph: gs.Graph, node: gs.Node) -> bool:
    """ReduceMean counts its axes from the front, in order."""
    if not is_op(node, "ReduceMean"):
        return False
    axes, count = integers(node, 1, "axes"), rank(node.inputs[0])
    if not axes or count is None:
        return False
    ordered = sorted(axis % count for axis in axes)
    if ordered == axes:
        return False
    value = np.asarray(ordered, dtype=np.int64)
    node.inputs[1] = new_constant(graph, f"{node.outputs[0].name}_axes", value)
    return True


def _drop_kept_axes(graph: gs.Graph, node: gs.Node) -> bool:
    """Flatten or Squeeze of the axes a ReduceMean kept = ReduceMean that keeps none."""
    if not is_op(node, "ReduceMean") or not node.attrs.get("keepdims", 1):
        return False
    axes, count = integers(node, 1, "axes"), rank(node.inputs[0])
    reader = sole_reader(graph, node.outputs[0])
    if not axes or count is None or reader is None:
        return False
    reduced = sorted(axis % count for axis in axes)
    if is_op(reader, "Squeeze"):
        squeezed = integers(reader, 1, "axes")
        drops = squeezed is not None and sorted(axis % count for axis in squeezed) == reduced
    else:
        flat = is_op(reader, "Flatten") and reader.attrs.get("axis", 1) in (1, 1 - count)
        drops = flat and reduced == list(range(2, count))
    if not drops:
        return False
    name = node.name
    joined = replace(graph, reader, "ReduceMean", list(node.inputs), {"keepdims": 0})
    joined.name = name
    remove(graph, node)
    return True


def _sum_of_two(graph: gs.Graph, node: gs.Node) -> bool:
    """Sum(a, b) = Add(a, b)."""
    if not is_op(node, "Sum") or len(node.inputs) != 2:
        return False
    replace(graph, node, "Add", list(node.inputs))
    return True


FLATTEN = Pass(
    name="flatten",
    requires="shapes inferred, Reshape settled",
    ensures="joining all dimensions but the leading one is a Flatten of axis 1",
    run=each_node(_flatten),
)
MERGE_TRANSPOSES = Pass(
    name="merge-transposes",
    requires="shapes inferred",
    ensures="no Transpose reads a Transpose",
    run=each_node(_merge_transposes),
)
SPATIAL_MEAN = Pass(
    name="spatial-mean",
    requires="shapes inferred",
    ensures="a mean over the whole image is a ReduceMean",
    run=each_node(_spatial_mean),
)
MEAN_AXES = Pass(
    name="mean-axes",
    requires="shapes inferred",
    ensures="ReduceMean lists its axes from the front, in order",
    run=each_node(_mean_axes),
)
DROP_KEPT_AXES = Pass(
    name="drop-kept-axes",
    requires="shapes inferred, spatial means found, Flatten in its one form",
    ensures="a ReduceMean keeps no axis that is dropped right behind it",
    run=each_node(_drop_kept_axes),
)
SUM_OF_TWO = Pass(
    name="sum-of-two",
    requires="nothing",
    ensures="a Sum of two tensors is an Add",
    run=each_node(_sum_of_two),
)
