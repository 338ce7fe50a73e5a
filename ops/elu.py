"""Elu (ONNX Elu-22): f(x) = x for x >= 0, alpha * (exp(x) - 1) below."""

import torch

from onnx2snn.ops.operator import Attribute, SpikingOperator, unary
from onnx2snn.ops.target import Target


def elu(alpha: float) -> Target:
    """f(x) = x for x >= 0, alpha * (exp(x) - 1) below."""
    return Target(f"elu(alpha={alpha:g})", 1, lambda x: torch.nn.functional.elu(x, alpha))


ELU = SpikingOperator(
    source="Elu",
    equation="f(x) = x for x >= 0, alpha * (exp(x) - 1) below",
    build=unary(elu, "alpha"),
    attributes=(Attribute("alpha", "float", 1.0),),
)
