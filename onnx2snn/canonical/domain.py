"""Operators of the canonical form that the standard has only from a later opset on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx
from onnx import helper, parser

from onnx2snn.canonical.upgrade import opset_of
from onnx2snn.ops.rms_normalization import BODY as RMS_NORMALIZATION

CANONICAL_DOMAIN = "onnx2snn.canonical"
CANONICAL_VERSION = 1
_PARSED_OPSET = 20


@dataclass(frozen=True)
class _Function:
    """The body that lets any runtime execute the node, in terms of operands and attributes."""

    operands: tuple[str, ...]
    attributes: Mapping[str, int | float]
    body: str


_FUNCTIONS: Mapping[str, _Function] = {
    "RMSNormalization": _Function(("X", "scale"), {"axis": -1, "epsilon": 1e-5}, RMS_NORMALIZATION),
    "Swish": _Function(
        ("X",),
        {"alpha": 1.0},
        """
        alpha_float = Constant <value_float: float = @alpha> ()
        alpha_like = CastLike (alpha_float, X)
        scaled = Mul (X, alpha_like)
        gate = Sigmoid (scaled)
        Y = Mul (X, gate)
        """,
    ),
}


def function(op_type: str, opset: int) -> onnx.FunctionProto:
    """The body of one canonical operator, of a model in `opset`."""
    known = _FUNCTIONS[op_type]
    attributes, operands = ", ".join(known.attributes), ", ".join(known.operands)
    text = f"""<domain: "{CANONICAL_DOMAIN}", opset_import: ["" : {_PARSED_OPSET}]>
    {op_type} <{attributes}> ({operands}) => (Y) {{ {known.body} }}"""
    return helper.make_function(
        CANONICAL_DOMAIN,
        op_type,
        list(known.operands),
        ["Y"],
        list(parser.parse_function(text).node),
        [helper.make_opsetid("", opset)],
        attribute_protos=[helper.make_attribute(*item) for item in known.attributes.items()],
    )


def add_functions(model: onnx.ModelProto) -> None:
    """Give `model` the domain and function bodies its canonical nodes need, in place."""
    used = {node.op_type for node in model.graph.node if node.domain == CANONICAL_DOMAIN}
    if not used:
        return
    if not any(entry.domain == CANONICAL_DOMAIN for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid(CANONICAL_DOMAIN, CANONICAL_VERSION))
    model.functions.extend(function(op_type, opset_of(model)) for op_type in sorted(used))
