"""Sigmoid (ONNX Sigmoid-13): f(x) = 1 / (1 + exp(-x))."""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target


def sigmoid() -> Target:
    """f(x) = 1 / (1 + exp(-x))."""
    return Target("sigmoid", 1, torch.sigmoid)


SIGMOID = SpikingOperator(
    source="Sigmoid",
    equation="f(x) = 1 / (1 + exp(-x))",
    build=unary(sigmoid),
)
