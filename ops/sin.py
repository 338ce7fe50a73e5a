"""Sin (ONNX Sin-22): f(x) = sin(x)."""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target


def sin() -> Target:
    """f(x) = sin(x)."""
    return Target("sin", 1, torch.sin)


SIN = SpikingOperator(
    source="Sin",
    equation="f(x) = sin(x)",
    build=unary(sin),
)
