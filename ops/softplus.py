"""Softplus (ONNX Softplus-22): f(x) = log(1 + exp(x))."""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target


def softplus() -> Target:
    """f(x) = log(1 + exp(x))."""
    return Target("softplus", 1, torch.nn.functional.softplus)


SOFTPLUS = SpikingOperator(
    source="Softplus",
    equation="f(x) = log(1 + exp(x))",
    build=unary(softplus),
)
