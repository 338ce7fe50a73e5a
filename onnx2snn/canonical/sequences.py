"""Sequences of tensors whose members are known: their readers read the members themselves."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.editor import Editor
from onnx2snn.canonical.graph import (
    Pass,
    constant,
    each_node,
    insert_before,
    is_op,
    operand,
    producer,
    remove,
    scalar,
)
from onnx2snn.canonical.inline import finish

_EDITS = ("SequenceInsert", "SequenceErase", "Identity")


def _members(tensor: gs.Tensor) -> list[gs.Tensor] | None:
    """The tensors in a sequence, in order; None where that depends on data."""
    edits: list[gs.Node] = []
    writer = producer(tensor)
    while writer is not None and is_op(writer, *_EDITS):
        edits.append(writer)
        writer = producer(writer.inputs[0])
    if writer is None or not is_op(writer, "SequenceEmpty", "SequenceConstruct"):
        return None
    members = list(writer.inputs)
    for node in reversed(edits):
        if is_op(node, "Identity"):
            continue
        inserts = is_op(node, "SequenceInsert")
        place = operand(node, 2 if inserts else 1)
        where = scalar(place)
        if where is None and place is not None:
            return None
        position = len(members) - (not inserts) if where is None else int(where)
        if inserts:
            members.insert(position, node.inputs[1])
        else:
            del members[position]
    return members


def _read(graph: gs.Graph, node: gs.Node) -> bool:
    """SequenceAt, ConcatFromSequence and SequenceLength of known members."""
    if not is_op(node, "SequenceAt", "ConcatFromSequence", "SequenceLength"):
        return False
    members, editor = _members(node.inputs[0]), Editor(graph, node)
    if members is None:
        return False
    if is_op(node, "SequenceLength"):
        return finish(graph, node, [editor.store("length", np.asarray(len(members), np.int64))])
    if is_op(node, "SequenceAt"):
        place = scalar(node.inputs[1])
        known = place is not None and -len(members) <= place < len(members)
        return known and finish(graph, node, [members[int(place or 0)]])
    axis = node.attrs["axis"]
    if node.attrs.get("new_axis", 0):
        where = editor.integers("axis", axis)
        members = [editor.add("Unsqueeze", member, where) for member in members]
    return bool(members) and editor.finish("Concat", *members, axis=axis)


def _split(graph: gs.Graph, node: gs.Node) -> bool:
    """SplitToSequence of known parts = Split, and a sequence constructed of them."""
    if not is_op(node, "SplitToSequence"):
        return False
    axis, editor = node.attrs.get("axis", 0), Editor(graph, node)
    parts = _parts(node, axis)
    if parts is None:
        return False
    names = [f"{editor.base}_part{i}" for i in range(len(parts))]
    pieces = [gs.Variable(name) for name in names]
    sizes = [node.inputs[0], editor.integers("sizes", *parts)]
    insert_before(graph, node, "Split", sizes, pieces, {"axis": axis}, name=f"{editor.base}_split")
    if operand(node, 1) is None and not node.attrs.get("keepdims", 1):
        where = editor.integers("axis", axis)
        pieces = [editor.add("Squeeze", piece, where) for piece in pieces]
    result = node.outputs[0]
    node.outputs.clear()
    insert_before(graph, node, "SequenceConstruct", pieces, [result])
    remove(graph, node)
    return True


def _parts(node: gs.Node, axis: int) -> list[int] | None:
    """The extents of the parts; None where the graph does not tell them."""
    wanted, held = operand(node, 1), constant(operand(node, 1))
    if held is not None and held.ndim == 1:
        return [int(size) for size in held]
    shape = node.inputs[0].shape
    extent = None if shape is None else shape[axis]
    if not isinstance(extent, int) or (wanted is not None and held is None):
        return None
    each = 1 if held is None else int(prod(held.reshape(-1)))
    return [min(each, extent - start) for start in range(0, extent, each)]


SEQUENCES = Pass(
    name="sequences",
    requires="constants folded",
    ensures="nothing reads a sequence whose members are known",
    run=lambda graph: any([each_node(_split)(graph), each_node(_read)(graph)]),
)
