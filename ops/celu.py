"""Celu (ONNX Celu-12): f(x) = max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0)."""

import torch

from onnx2snn.ops.operator import Attribute, SpikingOperator, unary
from onnx2snn.ops.target import Target


def celu(alpha: float) -> Target:
    """f(x) = max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0)."""
    return Target(
        f"celu(alpha={alpha:g})",
        1,
        lambda x: torch.nn.functional.celu(x, alpha),
        """p = Max (X1, zero) l = Min (X1, zero) r = Div (l, alpha) e = Exp (r) d = Sub (e, one)
        n = Mul (alpha, d) Y = Add (p, n)""",
        {"zero": 0.0, "one": 1.0, "alpha": alpha},
    )


CELU = SpikingOperator(
    source="Celu",
    equation="f(x) = max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0)",
    build=unary(celu, "alpha"),
    attributes=(Attribute("alpha", "float", 1.0),),
)
