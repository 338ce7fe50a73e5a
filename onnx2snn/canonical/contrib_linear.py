"""onnxruntime's matrix products and convolutions with something fused to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.editor import Editor
from onnx2snn.canonical.graph import constant, operand, rank

_PARAMETERS = {
    "Elu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "LeakyRelu": ("alpha",),
    "Relu": (),
    "Sigmoid": (),
    "Softplus": (),
    "Softsign": (),
    "Tanh": (),
    "ThresholdedRelu": ("alpha",),
}


def _matmul(graph: gs.Graph, node: gs.Node) -> bool:
    """FusedMatMul = alpha A B, each transposed in its last two axes on demand."""
    editor, attrs = Editor(graph, node), node.attrs
    if attrs.get("transBatchA", 0) or attrs.get("transBatchB", 0):
        return False
    ranks = [rank(tensor) for tensor in node.inputs]
    operands = list(node.inputs)
    for position, key in enumerate(("transA", "transB")):
        count = ranks[position]
        if not attrs.get(key, 0) or count == 1:
            continue
        if count is None:
            return False
        perm = [*range(count - 2), count - 1, count - 2]
        operands[position] = editor.add("Transpose", operands[position], perm=perm)
    alpha = float(attrs.get("alpha", 1.0))
    if alpha == 1:
        return editor.finish("MatMul", *operands)
    held = constant(operands[1])
    if held is not None:
        scaled = editor.store("scaled", (held.astype(np.float64) * alpha).astype(held.dtype))
        return editor.finish("MatMul", operands[0], scaled)
    return editor.finish("Mul", editor.add("MatMul", *operands), _number(editor, "alpha", alpha))


def _number(editor: Editor, what: str, value: float) -> gs.Tensor:
    kind = editor.node.inputs[0].dtype
    return editor.store(what, np.asarray(value, np.float32 if kind is None else kind))


def _gemm(graph: gs.Graph, node: gs.Node) -> bool:
    """FusedGemm = activation(Gemm)."""
    keys = ("activation_alpha", "activation_beta", "activation_gamma")
    given = [node.attrs[key] for key in keys if key in node.attrs]
    plain = ("alpha", "beta", "transA", "transB")
    attributes = {key: node.attrs[key] for key in plain if key in node.attrs}
    return _activated(graph, node, "Gemm", list(node.inputs), attributes, given)


def _conv(graph: gs.Graph, node: gs.Node) -> bool:
    """FusedConv = activation(Conv + Z)."""
    fused = ("activation", "activation_params")
    attributes = {key: value for key, value in node.attrs.items() if key not in fused}
    given = list(node.attrs.get("activation_params", []))
    return _activated(graph, node, "Conv", list(node.inputs[:3]), attributes, given)


def _activated(
    graph: gs.Graph,
    node: gs.Node,
    op_type: str,
    operands: list[gs.Tensor],
    attributes: Mapping[str, Any],
    given: list[float],
) -> bool:
    activation = node.attrs.get("activation", "")
    if activation not in ("", "Clip", *_PARAMETERS):
        return False
    editor = Editor(graph, node)
    while operands and operands[-1].is_empty():
        operands.pop()
    y = editor.add(op_type, *operands, **attributes)
    extra = operand(node, 3)
    if extra is not None:
        y = editor.add("Add", y, extra)
    if activation == "":
        return editor.finish("Identity", y)
    if activation == "Clip":
        bounds = zip(("low", "high"), given, strict=False)
        return editor.finish("Clip", y, *(_number(editor, what, v) for what, v in bounds))
    return editor.finish(activation, y, **dict(zip(_PARAMETERS[activation], given, strict=False)))


LINEAR: Mapping[str, Callable[[gs.Graph, gs.Node], bool]] = {
    "FusedConv": _conv,
    "FusedGemm": _gemm,
    "FusedMatMul": _matmul,
    "TransposeMatMul": _matmul,
}
