"""Erf (ONNX Erf-13): f(x) = 2 / sqrt(pi) * integral of exp(-u^2) from 0 to x."""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target


def erf() -> Target:
    """f(x) = 2 / sqrt(pi) * integral of exp(-u^2) from 0 to x."""
    return Target("erf", 1, torch.erf)


ERF = SpikingOperator(
    source="Erf",
    equation="f(x) = 2 / sqrt(pi) * integral of exp(-u^2) from 0 to x",
    build=unary(erf),
)
