"""Shape arithmetic: tensors of integers that are computed from the shape of another tensor."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.graph import (
    Array,
    Pass,
    constant,
    insert_before,
    integers,
    is_constant,
    is_op,
    is_output,
    new_constant,
    operand,
    producer,
    rank,
)

_DEPTH = 24
_LONGEST = 64
Dimension = int | str | None
"""A number, the name of a symbolic dimension, or unknown."""


def _held(tensor: gs.Tensor) -> list[Dimension] | None:
    value = constant(tensor) if np.prod(tensor.shape) <= _LONGEST else None
    if value is None or value.dtype.kind not in "iu" or value.ndim > 1:
        return None
    return [int(v) for v in value.reshape(-1)]


def shape_value(tensor: gs.Tensor, depth: int = _DEPTH) -> list[Dimension] | None:
    """The entries of a vector (or scalar) of dimensions as far as the graph tells them."""
    if is_constant(tensor):
        return _held(tensor)
    node = producer(tensor)
    if node is None or depth == 0:
        return None
    if is_op(node, "Shape"):
        shape = node.inputs[0].shape
        window = slice(node.attrs.get("start", 0), node.attrs.get("end"))
        return None if shape is None else list(shape)[window]
    if is_op(node, "Concat"):
        parts = [shape_value(part, depth - 1) for part in node.inputs]
        if None in parts:
            return None
        return [entry for part in parts if part is not None for entry in part]
    if is_op(node, "Cast", "Identity", "Unsqueeze", "Squeeze", "Reshape"):
        return shape_value(node.inputs[0], depth - 1)
    if is_op(node, "Gather", "Slice"):
        return _picked(node, shape_value(node.inputs[0], depth - 1))
    return None


def _picked(node: gs.Node, entries: list[Dimension] | None) -> list[Dimension] | None:
    if entries is None:
        return None
    if is_op(node, "Gather"):
        where = constant(node.inputs[1])
        places = [] if where is None else [int(v) for v in where.reshape(-1)]
        known = where is not None and all(-len(entries) <= v < len(entries) for v in places)
        return [entries[v] for v in places] if known else None
    starts, ends = integers(node, 1, "starts"), integers(node, 2, "ends")
    steps = integers(node, 4, "steps") if operand(node, 4) is not None else [1]
    if starts is None or ends is None or not steps or len(starts) != 1 or steps[0] == 0:
        return None
    return entries[starts[0] : ends[0] : steps[0]]


def _fold_shapes(graph: gs.Graph) -> bool:
    """Replace every vector of dimensions that is known in full by a stored one."""
    changed = False
    for node in list(graph.nodes):
        if not is_op(node, "Shape", "Size", "Gather", "Slice", "Concat", "Squeeze", "Unsqueeze"):
            continue
        result = node.outputs[0]
        if is_output(graph, result) or result.dtype != np.int64 or rank(result) not in (0, 1):
            continue
        entries = _elements(node)
        if entries is not None and all(isinstance(entry, int) for entry in entries):
            value: Array = np.asarray(entries, dtype=np.int64)
            result.inputs.clear()
            result.to_constant(value if _is_vector(node, value) else value.reshape(()))
            changed = True
    return changed


def _is_vector(node: gs.Node, value: Array) -> bool:
    """Whether a folded result is a vector; only Size, Squeeze and a scalar Gather are not."""
    if value.size != 1 or is_op(node, "Shape", "Slice", "Concat", "Unsqueeze"):
        return True
    where = constant(node.inputs[1]) if is_op(node, "Gather") else None
    return where is not None and where.ndim == 1


def _elements(node: gs.Node) -> list[Dimension] | None:
    if not is_op(node, "Size"):
        return shape_value(node.outputs[0])
    shape = node.inputs[0].shape
    if shape is None or not all(isinstance(dim, int) for dim in shape):
        return None
    return [int(np.prod(shape))]


def _settle_reshape(graph: gs.Graph) -> bool:
    """Reshape(x, s): store s, with 0 for a kept leading dimension and one -1 at most.

    Nothing then depends on the size of the batch, and shape arithmetic loses its readers.
    """
    changed = False
    for node in list(graph.nodes):
        if not is_op(node, "Reshape") or len(node.inputs) != 2:
            continue
        wanted = _settled(node)
        held = _held(node.inputs[1]) if is_constant(node.inputs[1]) else None
        if wanted is None or (wanted == held and not node.attrs.get("allowzero", 0)):
            continue
        base = f"{node.outputs[0].name}_shape"
        stored = new_constant(graph, base, np.asarray(wanted, dtype=np.int64))
        result = node.outputs[0]
        node.outputs.clear()
        source = node.inputs[0]
        insert_before(graph, node, "Reshape", [source, stored], [result])
        node.inputs.clear()
        graph.nodes = [other for other in graph.nodes if other is not node]
        changed = True
    return changed


def _settled(node: gs.Node) -> list[int] | None:
    entries, shape = shape_value(node.inputs[1]), node.inputs[0].shape
    if entries is None or shape is None or not shape or 0 in shape:
        return None
    zero_is_zero = bool(node.attrs.get("allowzero", 0))
    if zero_is_zero and 0 in entries:
        return None
    copied = [shape[i] if e == 0 and i < len(shape) else e for i, e in enumerate(entries)]
    if copied and _keeps_leading(copied, list(shape)):
        copied[0] = shape[0]
    settled: list[int] = []
    for position, entry in enumerate(copied):
        kept = position < len(shape) and entry is not None and entry == shape[position]
        if kept and (position == 0 or not isinstance(entry, int)):
            settled.append(0)
        else:
            settled.append(entry if isinstance(entry, int) else -1)
    return settled if settled.count(-1) <= 1 else None


def _keeps_leading(entries: list[Dimension], shape: list[Dimension]) -> bool:
    """Whether an entry -1 in front stands for the leading dimension of the operand."""
    rest, inner = entries[1:], shape[1:]
    if entries[0] != -1 or not all(isinstance(d, int) and d > 0 for d in [*rest, *inner]):
        return False
    return int(np.prod(np.asarray(rest, int))) == int(np.prod(np.asarray(inner, int)))


FOLD_SHAPES = Pass(
    name="fold-shapes",
    requires="shapes inferred",
    ensures="shape arithmetic remains only where a dimension is symbolic",
    run=_fold_shapes,
)
SETTLE_RESHAPE = Pass(
    name="settle-reshape",
    requires="shapes inferred",
    ensures="Reshape has a stored shape wherever its operand's shape tells one",
    run=_settle_reshape,
)
