"""Softmax over the last axis, which before opset 13 was that of a matrix.

reshape(softmax(flatten(x))) = softmax(x) where the matrix has a row for each row of x.
"""

from __future__ import annotations

import onnx_graphsurgeon as gs

from onnx2snn.canonical.graph import (
    Pass,
    each_node,
    is_op,
    producer,
    rank,
    replace,
    sole_reader,
)


def _unflatten(graph: gs.Graph, node: gs.Node) -> bool:
    if not is_op(node, "Softmax", "LogSoftmax") or node.attrs.get("axis", -1) not in (-1, 1):
        return False
    flat, reader = producer(node.inputs[0]), sole_reader(graph, node.outputs[0])
    if flat is None or reader is None or not is_op(reader, "Reshape"):
        return False
    source = flat.inputs[0]
    if not _keeps_rows(flat) or not _restores(reader, source):
        return False
    replace(graph, reader, node.op, [source], {"axis": -1})
    return True


def _keeps_rows(flat: gs.Node) -> bool:
    """Whether all axes but the last become one."""
    count = rank(flat.inputs[0])
    axis = flat.attrs.get("axis", 1)
    return is_op(flat, "Flatten") and count is not None and bool(axis in (-1, count - 1))


def _restores(reader: gs.Node, source: gs.Tensor) -> bool:
    """Whether the result has the shape of `source`; as many entries as it has it always does."""
    shape = producer(reader.inputs[1])
    if shape is not None and is_op(shape, "Shape") and shape.inputs[0] is source:
        return not shape.attrs
    found = reader.outputs[0].shape
    if found is None or len(found) != len(source.shape):
        return False
    pairs = zip(found, source.shape, strict=True)
    return bool(sum(a is None or a != b for a, b in pairs) <= 1)


SOFTMAX_AXIS = Pass(
    name="softmax-axis",
    requires="shapes inferred",
    ensures="a softmax over the last axis is not taken of a matrix of its rows",
    run=each_node(_unflatten),
)
