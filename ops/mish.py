"""Mish (ONNX Mish-22): f(x) = x * tanh(log(1 + exp(x)))."""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target


def mish() -> Target:
    """f(x) = x * tanh(log(1 + exp(x)))."""
    return Target("mish", 1, torch.nn.functional.mish)


MISH = SpikingOperator(
    source="Mish",
    equation="f(x) = x * tanh(log(1 + exp(x)))",
    build=unary(mish),
)
