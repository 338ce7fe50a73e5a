"""Elu (ONNX Elu-22): f(x) = x for x >= 0, alpha * (exp(x) - 1) below."""

import torch

from onnx2snn.ops.operator import Attribute, SpikingOperator, unary
from onnx2snn.ops.target import Target

BODY = """
    p = Greater (X1, zero) l = Min (X1, zero) e = Exp (l) d = Sub (e, one) n = Mul (d, alpha)
    {output} = Where (p, X1, n)
"""


def elu(alpha: float) -> Target:
    """f(x) = x for x >= 0, alpha * (exp(x) - 1) below."""
    return Target(
        f"elu(alpha={alpha:g})",
        1,
        lambda x: torch.nn.functional.elu(x, alpha),
        BODY.format(output="Y"),
        {"zero": 0.0, "one": 1.0, "alpha": alpha},
    )


ELU = SpikingOperator(
    source="Elu",
    equation="f(x) = x for x >= 0, alpha * (exp(x) - 1) below",
    build=unary(elu, "alpha"),
    attributes=(Attribute("alpha", "float", 1.0),),
)
