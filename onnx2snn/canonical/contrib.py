"""onnxruntime's own operators (domain com.microsoft) that have a standard form."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx_graphsurgeon as gs

from onnx2snn.canonical.contrib_attention import ATTENTION
from onnx2snn.canonical.contrib_grouped import GROUPED
from onnx2snn.canonical.contrib_linear import LINEAR
from onnx2snn.canonical.contrib_rotary import ROTARY
from onnx2snn.canonical.domain import CANONICAL_DOMAIN
from onnx2snn.canonical.graph import Pass, each_node, insert_new, is_output, operand, replace

_RMS = "RMSNormalization"
_DOMAINS = ("com.microsoft", "ai.onnx.contrib")


def _plus(graph: gs.Graph, node: gs.Node, first: gs.Tensor, second: gs.Tensor | None) -> gs.Tensor:
    """First + second through a new Add, or first alone."""
    if second is None:
        return first
    return insert_new(graph, node, "Add", [first, second], node.inputs[0].shape)


def _gelu(graph: gs.Graph, node: gs.Node) -> bool:
    replace(graph, node, "Gelu", [node.inputs[0]], {"approximate": "none"})
    return True


def _bias_gelu(graph: gs.Graph, node: gs.Node) -> bool:
    total = _plus(graph, node, node.inputs[0], operand(node, 1))
    replace(graph, node, "Gelu", [total], {"approximate": "none"})
    return True


def _fast_gelu(graph: gs.Graph, node: gs.Node) -> bool:
    total = _plus(graph, node, node.inputs[0], operand(node, 1))
    replace(graph, node, "Gelu", [total], {"approximate": "tanh"})
    return True


def _quick_gelu(graph: gs.Graph, node: gs.Node) -> bool:
    alpha = float(node.attrs.get("alpha", 1.702))
    replace(graph, node, "Swish", [node.inputs[0]], {"alpha": alpha}, CANONICAL_DOMAIN)
    return True


def _layer_norm(graph: gs.Graph, node: gs.Node) -> bool:
    if any(tensor.outputs or is_output(graph, tensor) for tensor in node.outputs[1:]):
        return False
    attributes = {"axis": node.attrs.get("axis", -1), "epsilon": node.attrs.get("epsilon", 1e-5)}
    replace(graph, node, "LayerNormalization", list(node.inputs), attributes)
    return True


def _simplified_layer_norm(graph: gs.Graph, node: gs.Node) -> bool:
    """RMSNormalization(x) * gamma."""
    if any(tensor.outputs or is_output(graph, tensor) for tensor in node.outputs[1:]):
        return False
    attributes = {"axis": node.attrs.get("axis", -1), "epsilon": node.attrs.get("epsilon", 1e-5)}
    replace(graph, node, _RMS, node.inputs[:2], attributes, CANONICAL_DOMAIN)
    return True


def _summed(graph: gs.Graph, node: gs.Node, bias: int) -> gs.Tensor | None:
    """x + skip + bias, the fourth output; None where the statistics are in use."""
    if any(tensor.outputs or is_output(graph, tensor) for tensor in node.outputs[1:3]):
        return None
    total = _plus(graph, node, node.inputs[0], node.inputs[1])
    total = _plus(graph, node, total, operand(node, bias))
    summed = node.outputs[3] if len(node.outputs) > 3 else None
    if summed is None or summed.is_empty():
        return total
    writer = total.inputs[0]
    node.outputs = list(node.outputs)[:3]
    writer.outputs = [summed]
    return summed


def _skip_layer_norm(graph: gs.Graph, node: gs.Node) -> bool:
    """LayerNormalization(x + skip + bias) * gamma + beta."""
    total, shift = _summed(graph, node, 4), operand(node, 3)
    if total is None:
        return False
    operands = [total, node.inputs[2]] + ([] if shift is None else [shift])
    attributes = {"axis": -1, "epsilon": node.attrs.get("epsilon", 1e-12)}
    replace(graph, node, "LayerNormalization", operands, attributes)
    return True


def _skip_simplified_layer_norm(graph: gs.Graph, node: gs.Node) -> bool:
    """RMSNormalization(x + skip + bias) * gamma."""
    total = _summed(graph, node, 3)
    if total is None:
        return False
    attributes = {"axis": -1, "epsilon": node.attrs.get("epsilon", 1e-12)}
    replace(graph, node, _RMS, [total, node.inputs[2]], attributes, CANONICAL_DOMAIN)
    return True


STANDARD: Mapping[str, Callable[[gs.Graph, gs.Node], bool]] = {
    "BiasGelu": _bias_gelu,
    "FastGelu": _fast_gelu,
    "Gelu": _gelu,
    "LayerNormalization": _layer_norm,
    "QuickGelu": _quick_gelu,
    "SimplifiedLayerNormalization": _simplified_layer_norm,
    "SkipLayerNormalization": _skip_layer_norm,
    "SkipSimplifiedLayerNormalization": _skip_simplified_layer_norm,
    **ATTENTION,
    **GROUPED,
    **LINEAR,
    **ROTARY,
}


def _standardise(graph: gs.Graph, node: gs.Node) -> bool:
    rewrite = STANDARD.get(node.op) if node.domain in _DOMAINS else None
    return rewrite is not None and rewrite(graph, node)


STANDARD_CONTRIB = Pass(
    name="standard-contrib",
    requires="nothing",
    ensures=f"no node of com.microsoft is one of {', '.join(STANDARD)}",
    run=each_node(_standardise),
)
