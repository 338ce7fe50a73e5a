"""Mish (ONNX Mish-22): f(x) = x * tanh(log(1 + exp(x)))."""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.softplus import BODY
from onnx2snn.ops.target import Target


def mish() -> Target:
    """f(x) = x * tanh(log(1 + exp(x)))."""
    body = BODY + "t = Tanh (y) Y = Mul (X1, t)"
    return Target("mish", 1, torch.nn.functional.mish, body, {"zero": 0.0, "one": 1.0})


MISH = SpikingOperator(
    source="Mish",
    equation="f(x) = x * tanh(log(1 + exp(x)))",
    build=unary(mish),
)
