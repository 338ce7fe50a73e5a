"""HardSwish (ONNX HardSwish-22): f(x) = x * max(0, min(1, x / 6 + 1 / 2))."""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target


def hard_swish() -> Target:
    """f(x) = x * max(0, min(1, x / 6 + 1 / 2))."""
    body = """
        s = Add (X1, three) l = Max (s, zero) u = Min (l, six) p = Mul (X1, u) Y = Div (p, six)
    """
    constants = {"zero": 0.0, "three": 3.0, "six": 6.0}
    return Target("hard_swish", 1, torch.nn.functional.hardswish, body, constants)


HARD_SWISH = SpikingOperator(
    source="HardSwish",
    equation="f(x) = x * max(0, min(1, x / 6 + 1 / 2))",
    build=unary(hard_swish),
)
