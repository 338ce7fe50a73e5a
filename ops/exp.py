"""Exp (ONNX Exp-13): f(x) = exp(x)."""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target


def exp() -> Target:
    """f(x) = exp(x)."""
    return Target("exp", 1, torch.exp, "Y = Exp (X1)")


EXP = SpikingOperator(
    source="Exp",
    equation="f(x) = exp(x)",
    build=unary(exp),
    claim=0.05,
)
