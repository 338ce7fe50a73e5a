"""onnxruntime's RotaryEmbedding, written out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.attention_mask import positions
from onnx2snn.canonical.editor import Editor
from onnx2snn.canonical.graph import rank

_LAST = np.iinfo(np.int64).max
Tables = tuple[gs.Tensor, gs.Tensor]
"""Cosines and sines: [position, half of what turns of a head]."""


def _rotary(graph: gs.Graph, node: gs.Node) -> bool:
    """RotaryEmbedding: each pair of a head turns by the angle of its position."""
    x, places, tables = node.inputs[0], node.inputs[1], (node.inputs[2], node.inputs[3])
    axes, heads = rank(x), _heads(node)
    plain = node.attrs.get("scale", 1.0) == 1 and not node.attrs.get("is_packed_batching", 0)
    known = rank(tables[0]) == 2 and rank(places) in (1, 2)
    if not plain or not known or axes not in (3, 4) or (axes == 3 and not heads):
        return False
    editor, mixed = Editor(graph, node), bool(node.attrs.get("interleaved", 0))
    if rank(places) == 1:
        counted = positions(editor, x, axes - 2)
        offset = editor.add("Add", editor.add("Cast", places, to=7), counted)
        places = editor.add("Unsqueeze", offset, editor.integers("batch", 0))
    if axes == 4:
        return editor.finish("Identity", turned(editor, x, places, tables, mixed, 1))
    apart = editor.add("Reshape", x, editor.integers("apart", 0, 0, heads, -1))
    result = turned(editor, apart, places, tables, mixed, 2)
    return editor.finish("Reshape", result, editor.integers("together", 0, 0, -1))


def _heads(node: gs.Node) -> int:
    """How many heads an input of three axes has; 0 if that is not known."""
    stated, x, table = int(node.attrs.get("num_heads", 0)), node.inputs[0], node.inputs[2]
    if stated or rank(x) != 3 or rank(table) != 2:
        return stated
    width, half = x.shape[2], table.shape[1]
    return width // (2 * half) if isinstance(width, int) and isinstance(half, int) else 0


def turned(
    editor: Editor, x: gs.Tensor, places: gs.Tensor, tables: Tables, mixed: bool, head: int
) -> gs.Tensor:
    """Pairs (a, b) -> (a cos - b sin, b cos + a sin) of x with four axes.

    places: [batch or 1, position]; head: axis of the heads; mixed: whether the members of a
    pair are neighbours, rather than half a row apart. What is behind the pairs stays.
    """
    axis, half = editor.integers("head", head), int(tables[0].shape[1])
    cosine, sine = (
        editor.add("Unsqueeze", editor.add("Gather", table, places, axis=0), axis)
        for table in tables
    )
    if mixed:
        first, second = (_part(editor, x, i, 2 * half, 2) for i in range(2))
    else:
        first, second = (_part(editor, x, i * half, (i + 1) * half) for i in range(2))
    pair = [
        editor.add(op, editor.add("Mul", one, cosine), editor.add("Mul", other, sine))
        for op, one, other in (("Sub", first, second), ("Add", second, first))
    ]
    if mixed:
        wide = [editor.add("Unsqueeze", one, editor.integers("pair", -1)) for one in pair]
        neighbours = editor.add("Concat", *wide, axis=-1)
        pair = [editor.add("Reshape", neighbours, editor.integers("row", 0, 0, 0, -1))]
    return editor.add("Concat", *pair, _part(editor, x, 2 * half, _LAST), axis=-1)


def _part(editor: Editor, x: gs.Tensor, start: int, end: int, stride: int = 1) -> gs.Tensor:
    """Entries of the last axis."""
    names = ("start", "end", "axis", "stride")
    bounds = zip(names, (start, end, -1, stride), strict=True)
    return editor.add("Slice", x, *(editor.integers(name, value) for name, value in bounds))


ROTARY: Mapping[str, Callable[[gs.Graph, gs.Node], bool]] = {"RotaryEmbedding": _rotary}
