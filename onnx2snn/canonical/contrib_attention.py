"""onnxruntime's attention and embedding operators, written out.

softmax(scale Q K^T + mask) V per head, as the exporters write it before it is fused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.attention_mask import additive_masks
from onnx2snn.canonical.editor import Editor
from onnx2snn.canonical.graph import Array, constant, is_output, operand, rank


@dataclass(frozen=True)
class _Head:
    """Sizes of one attention node."""

    count: int
    scale: float


def _attention(graph: gs.Graph, node: gs.Node) -> bool:
    """Attention: queries, keys and values by one stored weight of one input."""
    weight, bias = constant(node.inputs[1]), constant(operand(node, 2))
    if weight is None or (bias is None and operand(node, 2) is not None):
        return False
    if node.attrs.get("do_rotary", 0) or _keeps_past(graph, node, 4, 6):
        return False
    sizes = [int(v) for v in node.attrs.get("qkv_hidden_sizes", [])]
    sizes = sizes or [weight.shape[1] // 3] * 3
    masks = additive_masks(graph, node, operand(node, 3), operand(node, 5), node.inputs[0])
    if masks is None:
        return False
    editor, ends = Editor(graph, node), np.cumsum(sizes)[:-1]
    weights = np.split(weight, ends, axis=1)
    biases = [None] * 3 if bias is None else np.split(bias, ends)
    projected = [
        _projected(editor, node.inputs[0], part, offset, name)
        for part, offset, name in zip(weights, biases, "qkv", strict=True)
    ]
    return _attend(editor, projected, _head(node, sizes[0]), masks)


def _projected(
    editor: Editor, x: gs.Tensor, weight: Array, bias: Array | None, name: str
) -> gs.Tensor:
    y = editor.add("MatMul", x, editor.store(f"{name}_weight", weight))
    return y if bias is None else editor.add("Add", y, editor.store(f"{name}_bias", bias))


def _multi_head(graph: gs.Graph, node: gs.Node) -> bool:
    """MultiHeadAttention: queries, keys and values given, with biases on demand."""
    signals = [operand(node, position) for position in range(3)]
    given = [tensor for tensor in signals if tensor is not None]
    if len(given) != 3 or any(rank(tensor) != 3 for tensor in given):
        return False
    bias, width = constant(operand(node, 3)), _width(given[0], node)
    if width is None or (bias is None and operand(node, 3) is not None):
        return False
    past = [operand(node, 6), operand(node, 7)]
    kept = [tensor is not None for tensor in past]
    more = _is_used(graph, node, 3) or any(operand(node, i) is not None for i in (8, 9))
    if more or kept[0] != kept[1] or (kept[0] and node.attrs.get("unidirectional", 0)):
        return False
    masks = additive_masks(graph, node, operand(node, 4), operand(node, 5), given[1])
    if masks is None:
        return False
    editor = Editor(graph, node)
    if bias is not None:
        parts = np.split(bias, [width, 2 * width])
        given = [
            editor.add("Add", x, editor.store(f"{name}_bias", part))
            for x, part, name in zip(given, parts, "qkv", strict=True)
        ]
    return _attend(editor, given, _head(node, width), masks, past)


def _width(query: gs.Tensor, node: gs.Node) -> int | None:
    size = query.shape[2] if query.shape is not None else None
    if isinstance(size, int):
        return size
    bias = constant(operand(node, 3))
    return None if bias is None else bias.size // 3


def _head(node: gs.Node, width: int) -> _Head:
    count = int(node.attrs["num_heads"])
    stated = float(node.attrs.get("scale", 0.0))
    return _Head(count, stated or float((width // count) ** -0.5))


def _keeps_past(graph: gs.Graph, node: gs.Node, *positions: int) -> bool:
    """Whether the node reads or writes keys and values of earlier calls."""
    written = any(_is_used(graph, node, i) for i in range(1, len(node.outputs)))
    return written or any(operand(node, position) is not None for position in positions)


def _is_used(graph: gs.Graph, node: gs.Node, position: int) -> bool:
    if position >= len(node.outputs):
        return False
    tensor = node.outputs[position]
    return bool(tensor.outputs) or is_output(graph, tensor)


def hand_on(graph: gs.Graph, node: gs.Node, keys: gs.Tensor, values: gs.Tensor) -> None:
    """Let the second and third output, for later calls, be what was computed."""
    for position, kept in ((1, keys), (2, values)):
        if _is_used(graph, node, position):
            written = node.outputs[position]
            Editor(graph, node).add("Identity", kept).inputs[0].outputs = [written]
    node.outputs = list(node.outputs)[:1]


def _attend(
    editor: Editor,
    qkv: list[gs.Tensor],
    head: _Head,
    masks: list[gs.Tensor],
    past: Sequence[gs.Tensor | None] = (None, None),
) -> bool:
    """Softmax(scale q k + masks) v, heads apart and together again.

    past: keys and values of earlier calls, [batch, head, position, size].
    """
    apart = editor.integers("apart", 0, 0, head.count, -1)
    query, key, value = (
        editor.add("Transpose", editor.add("Reshape", x, apart), perm=[0, 2, 1, 3]) for x in qkv
    )
    key, value = (
        new if old is None else editor.add("Concat", old, new, axis=2)
        for old, new in zip(past, (key, value), strict=True)
    )
    hand_on(editor.graph, editor.node, key, value)
    key = editor.add("Transpose", key, perm=[0, 1, 3, 2])
    kind = np.float32 if editor.node.inputs[0].dtype is None else editor.node.inputs[0].dtype
    factor = editor.store("scale", np.asarray(head.scale, kind))
    scores = editor.add("Mul", editor.add("MatMul", query, key), factor)
    for mask in masks:
        scores = editor.add("Add", scores, mask)
    mixed = editor.add("MatMul", editor.add("Softmax", scores, axis=-1), value)
    rows = editor.add("Transpose", mixed, perm=[0, 2, 1, 3])
    return editor.finish("Reshape", rows, editor.integers("together", 0, 0, -1))


def _embed(graph: gs.Graph, node: gs.Node) -> bool:
    """EmbedLayerNormalization: LayerNormalization of the sum of two or three embeddings."""
    editor = Editor(graph, node)
    ids, segments, mask, positions = (operand(node, i) for i in (0, 1, 7, 8))
    words, places, kinds = (operand(node, i) for i in (2, 3, 4))
    total = editor.add("Gather", words, ids, axis=0)
    if positions is None:
        length = editor.add("Shape", ids, start=1, end=2)
        zero, axis = editor.integers("first", 0), editor.integers("axis", 0)
        placed = editor.add("Slice", places, zero, length, axis)
    else:
        placed = editor.add("Gather", places, positions, axis=0)
    total = editor.add("Add", total, placed)
    if kinds is not None and segments is not None:
        total = editor.add("Add", total, editor.add("Gather", kinds, segments, axis=0))
    results = list(node.outputs)
    node.outputs = results[:1]
    if len(results) > 1 and not results[1].is_empty():
        _count(editor, mask, ids).inputs[0].outputs = [results[1]]
    if len(results) > 2 and not results[2].is_empty():
        total.inputs[0].outputs = [results[2]]
        total = results[2]
    epsilon = node.attrs.get("epsilon", 1e-12)
    return editor.finish("LayerNormalization", total, *node.inputs[5:7], axis=-1, epsilon=epsilon)


def _count(editor: Editor, mask: gs.Tensor | None, ids: gs.Tensor) -> gs.Tensor:
    """How many positions of each row are not masked; 0 without a mask."""
    axis, zero = editor.integers("row", 1), editor.store("none", np.asarray(0, np.int32))
    counted = editor.add("ReduceSum", ids if mask is None else mask, axis, keepdims=0)
    whole = editor.add("Cast", counted, to=6)
    return editor.add("Mul", whole, zero) if mask is None else whole


ATTENTION: Mapping[str, Callable[[gs.Graph, gs.Node], bool]] = {
    "Attention": _attention,
    "EmbedLayerNormalization": _embed,
    "MultiHeadAttention": _multi_head,
}
