"""Reciprocal (ONNX Reciprocal-13): f(x) = 1 / x."""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target


def reciprocal() -> Target:
    """f(x) = 1 / x."""
    return Target("reciprocal", 1, torch.reciprocal)


RECIPROCAL = SpikingOperator(
    source="Reciprocal",
    equation="f(x) = 1 / x",
    build=unary(reciprocal),
)
