"""onnxruntime's GroupQueryAttention of decoders, written out where it continues no earlier call."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.attention_mask import causal, positions
from onnx2snn.canonical.contrib_attention import hand_on
from onnx2snn.canonical.contrib_rotary import turned
from onnx2snn.canonical.editor import Editor
from onnx2snn.canonical.graph import operand, rank

_OPTIONS = ("softcap", "smooth_softmax", "qk_output", "k_quant_type", "v_quant_type")
_PAST_BIAS_SINK = (3, 4, 10, 11)


def _grouped(graph: gs.Graph, node: gs.Node) -> bool:
    """Causal attention with fewer heads of keys and values than of queries."""
    given = [operand(node, position) for position in range(3)]
    heads, groups = int(node.attrs["num_heads"]), int(node.attrs["kv_num_heads"])
    if not _is_plain(node) or given[0] is None or rank(given[0]) != 3:
        return False
    width, packed = given[0].shape[2], given[1] is None
    if not isinstance(width, int) or packed != (given[2] is None):
        return False
    editor, size = Editor(graph, node), width // (heads + 2 * groups if packed else heads)
    counts = (heads, groups, groups)
    if packed:
        ends = np.cumsum([0, *counts]) * size
        given = [_columns(editor, given[0], ends[i], ends[i + 1]) for i in range(3)]
    query, key, value = (
        editor.add("Reshape", x, editor.integers("apart", 0, 0, count, size))
        for x, count in zip(given, counts, strict=True)
    )
    if node.attrs.get("do_rotary", 0):
        query, key = (_placed(editor, x) for x in (query, key))
    key, value = (editor.add("Transpose", x, perm=[0, 2, 1, 3]) for x in (key, value))
    hand_on(graph, node, key, value)
    return _attend(editor, (query, key, value), heads // groups, size)


def _is_plain(node: gs.Node) -> bool:
    """Whether nothing is asked for that is left alone, such as keys of earlier calls."""
    optioned = any(node.attrs.get(key, 0) not in (0, "NONE") for key in _OPTIONS)
    windowed = int(node.attrs.get("local_window_size", -1)) > 0
    more = any(operand(node, position) is not None for position in _PAST_BIAS_SINK)
    return not optioned and not windowed and not more


def _columns(editor: Editor, x: gs.Tensor, start: int, end: int) -> gs.Tensor:
    first, last = editor.integers("from", int(start)), editor.integers("to", int(end))
    return editor.add("Slice", x, first, last, editor.integers("axis", -1))


def _placed(editor: Editor, x: gs.Tensor) -> gs.Tensor:
    """X [batch, position, head, size] turned by its positions."""
    node = editor.node
    places = operand(node, 9)
    if places is None:
        places = editor.add("Unsqueeze", positions(editor, x), editor.integers("batch", 0))
    mixed = bool(node.attrs.get("rotary_interleaved", 0))
    return turned(editor, x, places, (node.inputs[7], node.inputs[8]), mixed, 2)


def _attend(
    editor: Editor, signals: tuple[gs.Tensor, gs.Tensor, gs.Tensor], share: int, size: int
) -> bool:
    """Softmax(scale q k + mask) v, `share` heads of queries for each head of keys."""
    node, (query, key, value) = editor.node, signals
    groups = int(node.attrs["kv_num_heads"])
    kind = np.float32 if node.inputs[0].dtype is None else node.inputs[0].dtype
    apart = editor.integers("groups", 0, 0, groups, share, -1)
    query = editor.add("Transpose", editor.add("Reshape", query, apart), perm=[0, 2, 3, 1, 4])
    each = editor.integers("each", 2)
    key, value = (editor.add("Unsqueeze", x, each) for x in (key, value))
    scores = editor.add("MatMul", query, editor.add("Transpose", key, perm=[0, 1, 2, 4, 3]))
    stated = float(node.attrs.get("scale", 0.0))
    scale = editor.store("scale", np.asarray(stated or size**-0.5, kind))
    scores = editor.add("Mul", scores, scale)
    scores = editor.add("Add", scores, causal(editor, node.inputs[0]))
    mixed = editor.add("MatMul", editor.add("Softmax", scores, axis=-1), value)
    rows = editor.add("Transpose", mixed, perm=[0, 3, 1, 2, 4])
    return editor.finish("Reshape", rows, editor.integers("together", 0, 0, -1))


GROUPED: Mapping[str, Callable[[gs.Graph, gs.Node], bool]] = {"GroupQueryAttention": _grouped}
