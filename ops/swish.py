"""Swish (ONNX Swish-24): f(x) = x / (1 + exp(-alpha * x)); SiLU for alpha = 1."""

import torch

from onnx2snn.ops.operator import Attribute, SpikingOperator, unary
from onnx2snn.ops.target import Target


def swish(alpha: float) -> Target:
    """f(x) = x / (1 + exp(-alpha * x)); SiLU for alpha = 1."""
    return Target(
        f"swish(alpha={alpha:g})",
        1,
        lambda x: x * torch.sigmoid(alpha * x),
        "a = Mul (alpha, X1) s = Sigmoid (a) Y = Mul (X1, s)",
        {"alpha": alpha},
    )


SWISH = SpikingOperator(
    source="Swish",
    equation="f(x) = x / (1 + exp(-alpha * x)); SiLU for alpha = 1",
    build=unary(swish, "alpha"),
    attributes=(Attribute("alpha", "float", 1.0),),
    body="""
        a = Constant <value_float: float = @alpha> ()
        b = CastLike (a, X)
        c = Mul (b, X)
        d = Sigmoid (c)
        Y = Mul (X, d)
    """,
)
