"""Sinh, Cosh, Asinh, Acosh and Atanh (ONNX, all of version 9).

An estimate that strays beyond the domain of an inverse function counts as its end.
"""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target

NEARLY_ONE = 1.0 - 2.0**-24
"""The largest float32 below 1: the area tangent is finite there."""


def sinh() -> Target:
    """f(x) = sinh(x)."""
    return Target("sinh", 1, torch.sinh)


def cosh() -> Target:
    """f(x) = cosh(x)."""
    return Target("cosh", 1, torch.cosh)


def asinh() -> Target:
    """f(x) = arsinh(x)."""
    return Target("asinh", 1, torch.asinh)


def acosh() -> Target:
    """f(x) = arcosh(max(x, 1))."""
    body = "x = Max (X1, one) Y = Acosh (x)"
    return Target("acosh", 1, lambda x: x.clamp_min(1.0).acosh(), body, {"one": 1.0})


def atanh() -> Target:
    """f(x) = artanh(x), of what lies beyond (-1, 1) that of the nearest inside."""
    body = "above = Max (X1, low) x = Min (above, high) Y = Atanh (x)"
    ends = {"low": -NEARLY_ONE, "high": NEARLY_ONE}
    return Target("atanh", 1, lambda x: x.clamp(-NEARLY_ONE, NEARLY_ONE).atanh(), body, ends)


SINH = SpikingOperator(source="Sinh", equation="f(x) = sinh(x)", build=unary(sinh), claim=0.05)
COSH = SpikingOperator(source="Cosh", equation="f(x) = cosh(x)", build=unary(cosh), claim=0.05)
ASINH = SpikingOperator(source="Asinh", equation="f(x) = arsinh(x)", build=unary(asinh))
ACOSH = SpikingOperator(source="Acosh", equation="f(x) = arcosh(x)", build=unary(acosh))
ATANH = SpikingOperator(source="Atanh", equation="f(x) = artanh(x)", build=unary(atanh))
