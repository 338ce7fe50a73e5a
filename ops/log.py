"""Log (ONNX Log-13): f(x) = log(max(x, tiny)), tiny the least normal number."""

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target

TINY = 2.0**-126
"""The smallest normal number of float32."""


def log() -> Target:
    """f(x) = log(max(x, 2^-126)): estimates of x may be negative on their way."""
    body = "p = Max (X1, tiny) Y = Log (p)"
    return Target("log", 1, lambda x: x.clamp_min(TINY).log(), body, {"tiny": TINY})


LOG = SpikingOperator(
    source="Log",
    equation="f(x) = log(x)",
    build=unary(log),
)
