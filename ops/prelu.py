"""PRelu (ONNX PRelu-16): f(x) = x for x >= 0, slope * x below."""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target


def prelu() -> Target:
    """f(x, slope) = x for x >= 0, slope * x below; slope broadcasts to x."""
    body = "p = GreaterOrEqual (X1, zero) n = Mul (X2, X1) Y = Where (p, X1, n)"
    return Target(
        "prelu", 2, lambda x, slope: torch.where(x >= 0, x, slope * x), body, {"zero": 0.0}
    )


PRELU = SpikingOperator(
    source="PRelu",
    equation="f(x) = x for x >= 0, slope * x below",
    build=unary(prelu),
    operands=("X", "slope"),
)
