"""Cos (ONNX Cos-22): f(x) = cos(x)."""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target


def cos() -> Target:
    """f(x) = cos(x)."""
    return Target("cos", 1, torch.cos)


COS = SpikingOperator(
    source="Cos",
    equation="f(x) = cos(x)",
    build=unary(cos),
)
