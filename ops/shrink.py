"""Shrink (ONNX Shrink-9): f(x) = x + bias below -lambd, x - bias above lambd, 0 between."""

import torch
from torch import Tensor

from onnx2snn.ops.operator import Attribute, SpikingOperator, unary
from onnx2snn.ops.target import Target


def shrink(bias: float, lambd: float) -> Target:
    """f(x) = x + bias below -lambd, x - bias above lambd, 0 between."""

    def function(x: Tensor) -> Tensor:
        outside = torch.where(x < 0, x + bias, x - bias)
        return torch.where((x < -lambd) | (x > lambd), outside, torch.zeros_like(x))

    body = """
        negative = Less (X1, zero) a = Add (X1, bias) b = Sub (X1, bias)
        outside = Where (negative, a, b) below = Less (X1, low) above = Greater (X1, high)
        kept = Or (below, above) Y = Where (kept, outside, zero)
    """
    constants = {"zero": 0.0, "bias": bias, "low": -lambd, "high": lambd}
    return Target(f"shrink(bias={bias:g}, lambd={lambd:g})", 1, function, body, constants)


SHRINK = SpikingOperator(
    source="Shrink",
    equation="f(x) = x + bias for x < -lambd, x - bias for x > lambd, 0 between",
    build=unary(shrink, "bias", "lambd"),
    attributes=(Attribute("bias", "float", 0.0), Attribute("lambd", "float", 0.5)),
)
