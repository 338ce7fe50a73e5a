"""Atan (ONNX Atan-22): f(x) = arctan(x)."""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target


def atan() -> Target:
    """f(x) = arctan(x)."""
    return Target("atan", 1, torch.atan)


ATAN = SpikingOperator(
    source="Atan",
    equation="f(x) = arctan(x)",
    build=unary(atan),
)
