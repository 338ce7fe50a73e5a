"""Relu (ONNX Relu-14): f(x) = max(x, 0)."""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target


def relu() -> Target:
    """f(x) = max(x, 0)."""
    return Target("relu", 1, torch.relu)


RELU = SpikingOperator(
    source="Relu",
    equation="f(x) = max(x, 0)",
    build=unary(relu),
    integrates=True,
)
