"""RMS normalisation: y = x / sqrt(mean(x^2) + epsilon), an operator of the canonical form."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from onnx2snn.canonical.domain import CANONICAL_DOMAIN
from onnx2snn.canonical.graph import Pass, each_node, is_op, replace
from onnx2snn.canonical.layer_norm import Normalised, divided, emit, mean_of, split_epsilon, squared


def _scaled(numerator: gs.Tensor, radicand: gs.Tensor | None) -> Normalised | None:
    """The x of x / sqrt(mean(x^2) + epsilon)."""
    parts = None if radicand is None else split_epsilon(radicand)
    spread = None if parts is None else mean_of(parts[0])
    if parts is None or spread is None or squared(spread[0]) is not numerator:
        return None
    return Normalised(numerator, spread[1], parts[1])


def _rewrite(graph: gs.Graph, node: gs.Node) -> bool:
    found = divided(node, _scaled)
    return found is not None and emit(graph, node, found, "RMSNormalization", CANONICAL_DOMAIN)


def _rename(graph: gs.Graph, node: gs.Node) -> bool:
    if not is_op(node, "RMSNormalization"):
        return False
    attributes = {key: node.attrs[key] for key in ("axis", "epsilon") if key in node.attrs}
    replace(graph, node, "RMSNormalization", node.inputs[:2], attributes, CANONICAL_DOMAIN)
    return True


RMS_NORM = Pass(
    name="rms-norm",
    requires="shapes inferred, constants folded, layer normalisations found",
    ensures="each decomposed RMS normalisation of known width is one RMSNormalization",
    run=each_node(_rewrite),
)
STANDARD_RMS_NORM = Pass(
    name="standard-rms-norm",
    requires="nothing",
    ensures=f"RMSNormalization belongs to the domain {CANONICAL_DOMAIN}, whatever the opset",
    run=each_node(_rename),
)
