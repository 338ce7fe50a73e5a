"""Div (ONNX Div-14) by a signal: f(a, b) = a / b, one binary site.

Division by a constant is linear and no site.
"""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target


def ratio() -> Target:
    """f(x_1, x_2) = x_1 / x_2."""
    return Target("x1/x2", 2, torch.div)


DIV = SpikingOperator(
    source="Div",
    equation="f(a, b) = a / b",
    build=unary(ratio),
    operands=("A", "B"),
    signals=(0, 1),
)
