"""Tan (ONNX Tan-7), Asin (ONNX Asin-7) and Acos (ONNX Acos-7).

An estimate that strays beyond the domain of an inverse function counts as its end.
"""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target

INSIDE = "above = Max (X1, low) x = Min (above, high) "
ENDS = {"low": -1.0, "high": 1.0}


def tan() -> Target:
    """f(x) = tan(x)."""
    return Target("tan", 1, torch.tan)


def asin() -> Target:
    """f(x) = arcsin(min(max(x, -1), 1))."""
    return Target("asin", 1, lambda x: x.clamp(-1.0, 1.0).asin(), INSIDE + "Y = Asin (x)", ENDS)


def acos() -> Target:
    """f(x) = arccos(min(max(x, -1), 1))."""
    return Target("acos", 1, lambda x: x.clamp(-1.0, 1.0).acos(), INSIDE + "Y = Acos (x)", ENDS)


TAN = SpikingOperator(source="Tan", equation="f(x) = tan(x)", build=unary(tan))
ASIN = SpikingOperator(source="Asin", equation="f(x) = arcsin(x)", build=unary(asin))
ACOS = SpikingOperator(source="Acos", equation="f(x) = arccos(x)", build=unary(acos))
