"""Swish, which the standard has only from opset 24: an operator of the canonical form."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from onnx2snn.canonical.graph import Pass, each_node, is_op, replace
from onnx2snn.ops.schema import CANONICAL_DOMAIN

__all__ = ["CANONICAL_DOMAIN", "CANONICAL_VERSION", "STANDARD_SWISH"]

CANONICAL_VERSION = 1


def _rename(graph: gs.Graph, node: gs.Node) -> bool:
    if not is_op(node, "Swish"):
        return False
    alpha = float(node.attrs.get("alpha", 1.0))
    replace(graph, node, "Swish", [node.inputs[0]], {"alpha": alpha}, CANONICAL_DOMAIN)
    return True


STANDARD_SWISH = Pass(
    name="standard-swish",
    requires="nothing",
    ensures=f"Swish belongs to the domain {CANONICAL_DOMAIN}, whatever the opset",
    run=each_node(_rename),
)
