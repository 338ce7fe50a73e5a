"""Softsign (ONNX Softsign-22): f(x) = x / (1 + |x|)."""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target


def softsign() -> Target:
    """f(x) = x / (1 + |x|)."""
    body = "a = Abs (X1) d = Add (one, a) Y = Div (X1, d)"
    return Target("softsign", 1, torch.nn.functional.softsign, body, {"one": 1.0})


SOFTSIGN = SpikingOperator(
    source="Softsign",
    equation="f(x) = x / (1 + |x|)",
    build=unary(softsign),
)
