"""Pow (ONNX Pow-15): f(x, p) = x^p, p a constant or a signal: one binary site."""

import torch
from torch import Tensor

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target


def power() -> Target:
    """f(x, p) = x^p, with max(x, 0) for x where p is no integer: estimates may stray below."""

    def function(x: Tensor, p: Tensor) -> Tensor:
        return torch.pow(torch.where(p == p.round(), x, x.clamp_min(0.0)), p)

    body = """
        r = Round (X2) whole = Equal (X2, r) p = Max (X1, zero) x = Where (whole, X1, p)
        Y = Pow (x, X2)
    """
    return Target("x1^x2", 2, function, body, {"zero": 0.0})


POW = SpikingOperator(
    source="Pow",
    equation="f(x, p) = x^p",
    build=unary(power),
    operands=("X", "exponent"),
    signals=(0,),
)
