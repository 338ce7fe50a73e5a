"""The masks of onnxruntime's attention operators as summands of the scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.editor import Editor
from onnx2snn.canonical.graph import rank

_FILTER = -10000.0


def additive_masks(
    graph: gs.Graph,
    node: gs.Node,
    mask: gs.Tensor | None,
    bias: gs.Tensor | None,
    keys: gs.Tensor,
) -> list[gs.Tensor] | None:
    """What is added to scores [batch, head, query, key]; None for a form not known here."""
    editor = Editor(graph, node)
    filtered = np.float32(node.attrs.get("mask_filter_value", _FILTER))
    summands = [] if bias is None else [bias]
    if mask is not None:
        allowed = _allowed(editor, mask, keys)
        if allowed is None:
            return None
        summands.append(_chosen(editor, keys, allowed, float(filtered)))
    if node.attrs.get("unidirectional", 0):
        lowest = float(np.finfo(_kind(keys).type).min)
        summands.append(_chosen(editor, keys, _earlier(editor, node.inputs[0], keys), lowest))
    return summands


def _kind(keys: gs.Tensor) -> np.dtype[np.floating[Any]]:
    return np.dtype(np.float32 if keys.dtype is None else keys.dtype)


def _chosen(editor: Editor, keys: gs.Tensor, allowed: gs.Tensor, otherwise: float) -> gs.Tensor:
    """0 where allowed, `otherwise` elsewhere."""
    kind = _kind(keys)
    zero = editor.store("open", np.asarray(0, kind))
    return editor.add("Where", allowed, zero, editor.store("masked", np.asarray(otherwise, kind)))


def _allowed(editor: Editor, mask: gs.Tensor, keys: gs.Tensor) -> gs.Tensor | None:
    """Which keys may be seen: by a 0/1 mask of two or three axes, or by the rows' lengths."""
    count = rank(mask)
    if count in (2, 3):
        zero = editor.store("zero", np.asarray(0, np.int32))
        seen = editor.add("Greater", editor.add("Cast", mask, to=6), zero)
        axes = (1, 2) if count == 2 else (1,)
        return editor.add("Unsqueeze", seen, editor.integers("axes", *axes))
    if count != 1 or keys.shape is None or mask.shape[0] is None:
        return None
    if mask.shape[0] != keys.shape[0]:
        return None
    axes = editor.integers("axes", 1, 2, 3)
    lengths = editor.add("Unsqueeze", editor.add("Cast", mask, to=7), axes)
    return editor.add("Less", positions(editor, keys), lengths)


def causal(editor: Editor, x: gs.Tensor) -> gs.Tensor:
    """What hides later keys from each query; both lie along the second axis of `x`."""
    return _chosen(editor, x, _earlier(editor, x, x), float(np.finfo(_kind(x).type).min))


def positions(editor: Editor, x: gs.Tensor, axis: int = 1) -> gs.Tensor:
    """0, 1, .. for the second or another axis of `x`."""
    length = editor.add("Shape", x, start=axis, end=axis + 1)
    end = editor.add("Squeeze", length, editor.integers("only", 0))
    first, step = (np.asarray(number, np.int64) for number in (0, 1))
    return editor.add("Range", editor.store("first", first), end, editor.store("step", step))


def _earlier(editor: Editor, queries: gs.Tensor, keys: gs.Tensor) -> gs.Tensor:
    """Whether a key is not later than the query."""
    rows = editor.add("Unsqueeze", positions(editor, queries), editor.integers("column", 1))
    return editor.add("LessOrEqual", positions(editor, keys), rows)
