"""Floor, Ceil and Sign (ONNX, all of version 13) and Round (ONNX Round-11): step functions."""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target


def floor() -> Target:
    """f(x) = the largest integer not above x."""
    return Target("floor", 1, torch.floor)


def ceil() -> Target:
    """f(x) = the smallest integer not below x."""
    return Target("ceil", 1, torch.ceil)


def nearest() -> Target:
    """f(x) = the nearest integer, the even one of two."""
    return Target("round", 1, torch.round)


def sign() -> Target:
    """f(x) = -1, 0 or 1."""
    return Target("sign", 1, torch.sign)


FLOOR = SpikingOperator(source="Floor", equation="f(x) = floor(x)", build=unary(floor))
CEIL = SpikingOperator(source="Ceil", equation="f(x) = ceil(x)", build=unary(ceil))
ROUND = SpikingOperator(
    source="Round", equation="f(x) = the nearest integer, the even one of two", build=unary(nearest)
)
SIGN = SpikingOperator(source="Sign", equation="f(x) = sign(x)", build=unary(sign))
