"""Operators of the domain ai.onnx.ml, as scikit-learn's pipelines have them, in standard ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx_graphsurgeon as gs
from onnx import TensorProto

from onnx2snn.canonical.editor import Editor
from onnx2snn.canonical.graph import Array, Pass, each_node, is_output

_AFTER = {"NONE": "Identity", "SOFTMAX": "Softmax", "LOGISTIC": "Sigmoid"}


def _single(editor: Editor) -> gs.Tensor:
    """The operand in single precision, in which these operators compute."""
    x = editor.node.inputs[0]
    return x if x.dtype == np.float32 else editor.add("Cast", x, to=TensorProto.FLOAT)


def _floats(node: gs.Node, name: str) -> Array:
    return np.asarray(node.attrs.get(name, []), np.float32)


def _scaler(graph: gs.Graph, node: gs.Node) -> bool:
    """Scaler: (x - offset) * scale."""
    offset, scale = (_floats(node, name) for name in ("offset", "scale"))
    if not offset.size or not scale.size:
        return False
    editor = Editor(graph, node)
    centred = editor.add("Sub", _single(editor), editor.store("offset", offset))
    return editor.finish("Mul", centred, editor.store("scale", scale))


def _normalizer(graph: gs.Graph, node: gs.Node) -> bool:
    """Normalizer: x / norm(x) for each row."""
    kind = node.attrs.get("norm", "MAX")
    if kind not in ("L1", "L2"):
        return False
    editor = Editor(graph, node)
    return editor.finish("LpNormalization", _single(editor), axis=-1, p=int(kind[1]))


def _scores(editor: Editor, count: int) -> gs.Tensor | None:
    """`count` linear functions of each row; None where the coefficients do not fit."""
    weights = _floats(editor.node, "coefficients")
    bias = _floats(editor.node, "intercepts")
    if weights.size % count or bias.size not in (0, count):
        return None
    matrix = editor.store("coefficients", weights.reshape(count, -1).T)
    product = editor.add("MatMul", _single(editor), matrix)
    return editor.add("Add", product, editor.store("intercepts", bias)) if bias.size else product


def _regressor(graph: gs.Graph, node: gs.Node) -> bool:
    """LinearRegressor: x W^T + b."""
    after = _AFTER.get(node.attrs.get("post_transform", "NONE"))
    editor = Editor(graph, node)
    total = _scores(editor, int(node.attrs.get("targets", 1))) if after else None
    return total is not None and after is not None and editor.finish(after, total)


def _classifier(graph: gs.Graph, node: gs.Node) -> bool:
    """LinearClassifier: scores x W^T + b, one for each class, and the class of the largest."""
    classes = np.asarray(node.attrs.get("classlabels_ints", []), np.int64)
    count = len(classes) or len(node.attrs.get("classlabels_strings", []))
    after = _AFTER.get(node.attrs.get("post_transform", "NONE"))
    label, shares = node.outputs
    named = bool(label.outputs) or is_output(graph, label)
    if after is None or count < 2 or (named and not classes.size):
        return False
    if _floats(node, "intercepts").size not in (0, count):
        return False
    editor = Editor(graph, node)
    total = _scores(editor, count)
    if total is None:
        return False
    if named:
        best = editor.add("ArgMax", total, axis=-1, keepdims=0)
        chosen = editor.add("Gather", editor.store("classes", classes), best, axis=0)
        chosen.inputs[0].outputs = [label]
    node.outputs = [shares]
    return editor.finish(after, total)


STANDARD: Mapping[str, Callable[[gs.Graph, gs.Node], bool]] = {
    "LinearClassifier": _classifier,
    "LinearRegressor": _regressor,
    "Normalizer": _normalizer,
    "Scaler": _scaler,
}


def _standardise(graph: gs.Graph, node: gs.Node) -> bool:
    rewrite = STANDARD.get(node.op) if node.domain == "ai.onnx.ml" else None
    return rewrite is not None and rewrite(graph, node)


STANDARD_ML = Pass(
    name="standard-ml",
    requires="types inferred",
    ensures=f"no node of ai.onnx.ml is a plain one of {', '.join(STANDARD)}",
    run=each_node(_standardise),
)
