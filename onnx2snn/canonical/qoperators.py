"""Operators on quantised tensors: f of QLinear form = Quantize(f(Dequantize(x), ...))."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.editor import Editor
from onnx2snn.canonical.graph import (
    Pass,
    constant,
    each_node,
    new_constant,
    operand,
    replace,
)

_DOMAINS = (None, "", "ai.onnx", "com.microsoft")


@dataclass(frozen=True)
class _Editor(Editor):
    """Writes the float form of one quantised node in front of it."""

    def real(self, first: int, axis: int = 1) -> gs.Tensor:
        """Operand number `first`, whose scale and zero point follow it, as floats."""
        zero = operand(self.node, first + 2)
        parts = [*self.node.inputs[first : first + 2], *([] if zero is None else [zero])]
        return self.add("DequantizeLinear", *parts, axis=axis)

    def quantize(self, y: gs.Tensor, first: int) -> None:
        """Let the node's output be `y`, quantised by the operands from `first` on."""
        zero = operand(self.node, first + 1)
        parts = [y, self.node.inputs[first], *([] if zero is None else [zero])]
        replace(self.graph, self.node, "QuantizeLinear", parts)

    def bias(self, position: int, left: int, right: int) -> gs.Tensor | None:
        """A stored 32-bit bias in units of the product of two scales, as floats."""
        held = operand(self.node, position)
        value, scales = constant(held), [constant(self.node.inputs[i]) for i in (left, right)]
        if held is None or value is None or scales[0] is None or scales[1] is None:
            return None
        unit = scales[0].astype(np.float64) * scales[1].astype(np.float64)
        real = (value.astype(np.float64) * unit).astype(scales[0].dtype)
        return new_constant(self.graph, f"{held.name}_real", real)


def _conv(editor: _Editor) -> bool:
    node = editor.node
    if node.attrs.get("channels_last", 0):
        return False
    bias = editor.bias(8, 1, 4)
    if operand(node, 8) is not None and bias is None:
        return False
    operands = [editor.real(0), editor.real(3, axis=0), *([] if bias is None else [bias])]
    attributes = {k: v for k, v in node.attrs.items() if k != "channels_last"}
    editor.quantize(editor.add("Conv", *operands, **attributes), 6)
    return True


def _matmul(editor: _Editor) -> bool:
    rank = len(editor.node.inputs[3].shape or [0, 0])
    y = editor.add("MatMul", editor.real(0), editor.real(3, axis=max(rank - 1, 0)))
    editor.quantize(y, 6)
    return True


def _gemm(editor: _Editor) -> bool:
    node = editor.node
    bias = editor.bias(6, 1, 4)
    if operand(node, 6) is not None and bias is None:
        return False
    attributes = {
        key: node.attrs[key] for key in ("alpha", "transA", "transB") if key in node.attrs
    }
    axis = 0 if node.attrs.get("transB", 0) else 1
    parts = [editor.real(0), editor.real(3, axis=axis), *([] if bias is None else [bias])]
    if operand(node, 7) is None:
        replace(editor.graph, node, "Gemm", parts, attributes)
    else:
        editor.quantize(editor.add("Gemm", *parts, **attributes), 7)
    return True


def _binary(op_type: str) -> Callable[[_Editor], bool]:
    def rewrite(editor: _Editor) -> bool:
        editor.quantize(editor.add(op_type, editor.real(0), editor.real(3)), 6)
        return True

    return rewrite


def _unary(op_type: str, *kept: str) -> Callable[[_Editor], bool]:
    def rewrite(editor: _Editor) -> bool:
        node = editor.node
        if node.attrs.get("channels_last", 0):
            return False
        attributes = {key: node.attrs[key] for key in kept if key in node.attrs}
        editor.quantize(editor.add(op_type, editor.real(0), **attributes), 3)
        return True

    return rewrite


def _where(editor: _Editor) -> bool:
    chosen = [editor.node.inputs[0], editor.real(1), editor.real(4)]
    editor.quantize(editor.add("Where", *chosen), 7)
    return True


def _concat(editor: _Editor) -> bool:
    node = editor.node
    parts = [editor.real(first) for first in range(2, len(node.inputs), 3)]
    editor.quantize(editor.add("Concat", *parts, axis=node.attrs["axis"]), 0)
    return True


def _attention(editor: _Editor) -> bool:
    """QAttention: its scales stand apart from its operands, its result is of floats."""
    node = editor.node
    if operand(node, 8) is not None:
        return False
    parts = []
    for position, axis in ((0, 2), (1, 1)):
        zero = operand(node, position + 6)
        stated = [node.inputs[position], node.inputs[position + 3]]
        stated += [] if zero is None else [zero]
        parts.append(editor.add("DequantizeLinear", *stated, axis=axis))
    mask = operand(node, 5)
    operands = [*parts, node.inputs[2], *([] if mask is None else [mask])]
    replace(editor.graph, node, "Attention", operands, node.attrs, "com.microsoft")
    return True


def _embed(editor: _Editor) -> bool:
    """QEmbedLayerNormalization: five stored tensors, then their scales and zero points."""
    node, parts = editor.node, []
    for position in range(2, 7):
        held = [operand(node, position + offset) for offset in (0, 6, 11)]
        present = [tensor for tensor in held if tensor is not None]
        parts.append(editor.add("DequantizeLinear", *present) if present else gs.Variable.empty())
    outputs = list(node.outputs)
    operands = [*node.inputs[:2], *parts, *node.inputs[7:8]]
    result = replace(
        editor.graph, node, "EmbedLayerNormalization", operands, node.attrs, "com.microsoft"
    )
    result.outputs = outputs
    return True


_POOL = ("kernel_shape", "strides", "pads", "auto_pad", "ceil_mode", "count_include_pad")
STANDARD: Mapping[str, Callable[[_Editor], bool]] = {
    "QAttention": _attention,
    "QEmbedLayerNormalization": _embed,
    "QGemm": _gemm,
    "QLinearAdd": _binary("Add"),
    "QLinearAveragePool": _unary("AveragePool", *_POOL),
    "QLinearConcat": _concat,
    "QLinearConv": _conv,
    "QLinearGlobalAveragePool": _unary("GlobalAveragePool"),
    "QLinearLeakyRelu": _unary("LeakyRelu", "alpha"),
    "QLinearMatMul": _matmul,
    "QLinearMul": _binary("Mul"),
    "QLinearSigmoid": _unary("Sigmoid"),
    "QLinearSoftmax": _unary("Softmax", "axis"),
    "QLinearWhere": _where,
}


def _dequantized(graph: gs.Graph, node: gs.Node) -> bool:
    rewrite = STANDARD.get(node.op) if node.domain in _DOMAINS else None
    return rewrite is not None and rewrite(_Editor(graph, node))


QUANTIZED_OPERATORS = Pass(
    name="quantized-operators",
    requires="constants folded",
    ensures=f"no node is one of {', '.join(STANDARD)}",
    run=each_node(_dequantized),
)
