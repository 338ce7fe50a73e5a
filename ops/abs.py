"""Abs (ONNX Abs-13): f(x) = |x|."""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target


def abs() -> Target:
    """f(x) = |x|."""
    return Target("abs", 1, torch.abs)


ABS = SpikingOperator(
    source="Abs",
    equation="f(x) = |x|",
    build=unary(abs),
)
