"""Max and Min of two operands (ONNX Max-13, Min-13): one binary site."""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target


def maximum() -> Target:
    """f(x_1, x_2) = max(x_1, x_2)."""
    return Target("maximum", 2, torch.maximum)


def minimum() -> Target:
    """f(x_1, x_2) = min(x_1, x_2)."""
    return Target("minimum", 2, torch.minimum)


MAX = SpikingOperator(
    source="Max",
    equation="f(a, b) = max(a, b)",
    build=unary(maximum),
    operands=("A", "B"),
    signals=(0, 1),
)

MIN = SpikingOperator(
    source="Min",
    equation="f(a, b) = min(a, b)",
    build=unary(minimum),
    operands=("A", "B"),
    signals=(0, 1),
)
