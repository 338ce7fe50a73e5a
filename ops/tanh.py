"""Tanh (ONNX Tanh-13): f(x) = tanh(x)."""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target


def tanh() -> Target:
    """f(x) = tanh(x)."""
    return Target("tanh", 1, torch.tanh)


TANH = SpikingOperator(
    source="Tanh",
    equation="f(x) = tanh(x)",
    build=unary(tanh),
)
