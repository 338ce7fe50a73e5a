"""Mod (ONNX Mod-13) with fmod = 1, the form for real numbers: f(a, b) = a - b * trunc(a / b)."""

import torch

from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.operator import Attribute, SpikingOperator, unary
from onnx2snn.ops.target import Target


def remainder(fmod: int) -> Target:
    """f(x_1, x_2) = the remainder of x_1 / x_2, with the sign of x_1."""
    if fmod != 1:
        raise ModelError(f"attribute 'fmod' is {fmod}; real numbers need 1")
    return Target("fmod", 2, torch.fmod)


MOD = SpikingOperator(
    source="Mod",
    equation="f(a, b) = a - b * trunc(a / b)",
    build=unary(remainder, "fmod"),
    operands=("A", "B"),
    attributes=(Attribute("fmod", "int", 1),),
)
