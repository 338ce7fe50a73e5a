"""Swish, which the standard has only from opset 24: an operator of the canonical form."""

from __future__ import annotations

import onnx
import onnx_graphsurgeon as gs
from onnx import helper

from onnx2snn.canonical.graph import Pass, each_node, is_op, replace
from onnx2snn.canonical.upgrade import opset_of

CANONICAL_DOMAIN = "onnx2snn.canonical"
CANONICAL_VERSION = 1


def swish_function(opset: int) -> onnx.FunctionProto:
    """y = x * sigmoid(alpha * x), as the body that lets any runtime execute the node."""
    alpha = helper.make_node("Constant", [], ["alpha_float"])
    alpha.attribute.append(
        onnx.AttributeProto(
            name="value_float", ref_attr_name="alpha", type=onnx.AttributeProto.FLOAT
        )
    )
    nodes = [
        alpha,
        helper.make_node("CastLike", ["alpha_float", "x"], ["alpha_like"]),
        helper.make_node("Mul", ["x", "alpha_like"], ["scaled"]),
        helper.make_node("Sigmoid", ["scaled"], ["gate"]),
        helper.make_node("Mul", ["x", "gate"], ["y"]),
    ]
    return helper.make_function(
        CANONICAL_DOMAIN,
        "Swish",
        ["x"],
        ["y"],
        nodes,
        [helper.make_opsetid("", opset)],
        attribute_protos=[helper.make_attribute("alpha", 1.0)],
    )


def add_functions(model: onnx.ModelProto) -> None:
    """Give `model` the domain and function bodies its canonical nodes need, in place."""
    if not any(node.domain == CANONICAL_DOMAIN for node in model.graph.node):
        return
    if not any(entry.domain == CANONICAL_DOMAIN for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid(CANONICAL_DOMAIN, CANONICAL_VERSION))
    model.functions.append(swish_function(opset_of(model)))


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
