"""torch's as_strided, exported as a gather over the flattened tensor, where it is a reshape.

flat(x)[n * P + arange(P)] for n = 0..N-1, with x of N rows of P entries each, is x itself in
the shape of the indices.
"""

from __future__ import annotations

from math import prod

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
    producer,
    replace,
    scalar,
)
from onnx2snn.canonical.shape_values import shape_value


def _rewrite(graph: gs.Graph, node: gs.Node) -> bool:
    flat = producer(node.inputs[0]) if is_op(node, "Gather") else None
    if flat is None or not is_op(flat, "Reshape") or node.attrs.get("axis", 0) != 0:
        return False
    source, wanted = flat.inputs[0], constant(flat.inputs[1])
    if wanted is None or wanted.tolist() != [-1] or not source.shape:
        return False
    rows, width = source.shape[0], _width(list(source.shape[1:]))
    found = _rows_plus_offsets(node.inputs[1])
    if width is None or rows is None or found is None:
        return False
    stride, limit, offsets = found
    entries = shape_value(limit)
    ordered = offsets.size == width and np.array_equal(offsets.reshape(-1), np.arange(width))
    if stride != width or entries != [rows] or not ordered or offsets.shape[:1] != (1,):
        return False
    shape = np.asarray([0, *offsets.shape[1:]], dtype=np.int64)
    stored = new_constant(graph, f"{node.outputs[0].name}_shape", shape)
    replace(graph, node, "Reshape", [source, stored])
    return True


def _width(dims: list[int | str | None]) -> int | None:
    known = [dim for dim in dims if isinstance(dim, int)]
    return prod(known) if len(known) == len(dims) else None


def _rows_plus_offsets(indices: gs.Tensor) -> tuple[int, gs.Tensor, Array] | None:
    """The stride and count of rows, and the sum of the stored offsets added to them."""
    offsets: Array = np.zeros((), np.int64)
    node = producer(indices)
    while node is not None and is_op(node, "Add"):
        stored = [tensor for tensor in node.inputs if is_constant(tensor)]
        computed = [tensor for tensor in node.inputs if not is_constant(tensor)]
        if len(stored) != 1 or prod(stored[0].shape) > 1 << 20:
            return None
        offsets = np.asarray(offsets + np.asarray(stored[0].values))
        node = producer(computed[0])
    while node is not None and is_op(node, "Unsqueeze", "Reshape"):
        node = producer(node.inputs[0])
    stride = 1
    if node is not None and is_op(node, "Mul"):
        factors = [scalar(tensor) for tensor in node.inputs]
        known = [factor for factor in factors if factor is not None]
        if len(known) != 1:
            return None
        stride = int(known[0])
        node = producer(node.inputs[factors.index(None)])
    if node is None or not is_op(node, "Range"):
        return None
    start, limit, step = node.inputs
    return (stride, limit, offsets) if scalar(start) == 0 and scalar(step) == 1 else None


AS_STRIDED = Pass(
    name="as-strided",
    requires="shapes inferred, constants folded",
    ensures="no gather over a flattened tensor returns all of it in order",
    run=each_node(_rewrite),
)
