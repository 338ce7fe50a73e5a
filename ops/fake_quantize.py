"""QuantizeLinear and DequantizeLinear in a row (ONNX 21): a staircase.

f(x) = s * clip(round(x / s) + z, lowest, highest) - s * z = s * clip(round(x / s), low, high)
with low = lowest - z and high = highest - z; per axis where s, low and high broadcast to x.
"""

import torch
from torch import Tensor

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target
from onnx2snn.ops.whole_numbers import rounded, wide


def fake_quantize() -> Target:
    """f(x, s, low, high) = s * clip(round(x / s), low, high)."""

    def function(x: Tensor, scale: Tensor, low: Tensor, high: Tensor) -> Tensor:
        s = wide(scale)
        whole = rounded(wide(x) / s)
        bounded = torch.minimum(torch.maximum(whole, wide(low)), wide(high))
        return (bounded * s).to(x.dtype)

    return Target("fake_quantize", 4, function)


FAKE_QUANTIZE = SpikingOperator(
    source="FakeQuantize",
    equation="f(x) = s * clip(round(x / s), low, high)",
    build=unary(fake_quantize),
    operands=("X", "scale", "low", "high"),
    body="""
        x = Cast <to = 1> (X)
        s = Cast <to = 1> (scale)
        lowest = Cast <to = 1> (low)
        highest = Cast <to = 1> (high)
        steps = Div (x, s)
        whole = Round (steps)
        above = Max (whole, lowest)
        bounded = Min (above, highest)
        y = Mul (bounded, s)
        Y = CastLike (y, X)
    """,
)
