"""Sqrt (ONNX Sqrt-13): f(x) = sqrt(max(x, 0))."""

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target


def sqrt() -> Target:
    """f(x) = sqrt(max(x, 0))."""
    body = "p = Max (X1, zero) Y = Sqrt (p)"
    return Target("sqrt", 1, lambda x: x.clamp_min(0.0).sqrt(), body, {"zero": 0.0})


SQRT = SpikingOperator(
    source="Sqrt",
    equation="f(x) = sqrt(max(x, 0))",
    build=unary(sqrt),
)
