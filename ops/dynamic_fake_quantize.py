"""DynamicQuantizeLinear and its way back (ONNX 11): a staircase over the range of x.

With h = max(x, 0) and l = min(x, 0) over `axes`: s = (h - l) / 255, z = round(-l / s),
f(x) = s * (clip(round(x / s) + z, 0, 255) - z).

The ONNX operator takes the range of the whole tensor, the samples of a batch together; here
`axes`, counted from the last, leave the first axis out, so that no sample depends on others.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.lowering import Lowering
from onnx2snn.ops.operator import Attribute, SpikingOperator
from onnx2snn.ops.target import Target
from onnx2snn.ops.whole_numbers import rounded, wide


def dynamic_fake_quantize(axes: tuple[int, ...]) -> Target:
    """f(x) = s * (clip(round(x / s) + z, 0, 255) - z), with s and z of the range over `axes`."""

    def function(x: Tensor) -> Tensor:
        values = wide(x)
        high = values.amax(axes, keepdim=True).clamp_min(0)
        low = values.amin(axes, keepdim=True).clamp_max(0)
        spread = high - low
        scale = torch.where(spread == 0, torch.ones_like(spread), spread / 255)
        zero = rounded((-low / scale).clamp(0, 255))
        steps = (rounded(values / scale) + zero).clamp(0, 255) - zero
        return (steps * scale).to(x.dtype)

    return Target("dynamic_fake_quantize", 1, function)


def _build(lowering: Lowering, operands: tuple[str, ...], attributes: Mapping[str, Any]) -> str:
    axes = attributes["axes"]
    if not axes or any(axis >= 0 for axis in axes):
        raise ModelError(f"attribute 'axes' is {axes}; it must list axes counted from the last")
    return lowering.site("output", dynamic_fake_quantize(tuple(axes)), *operands)


DYNAMIC_FAKE_QUANTIZE = SpikingOperator(
    source="DynamicFakeQuantize",
    equation="f(x) = s * (clip(round(x / s) + z, 0, 255) - z)",
    build=_build,
    attributes=(Attribute("axes", "ints"),),
    body="""
        axes = Constant <value_ints: ints = @axes> ()
        none = Constant <value = float {0.0}> ()
        one = Constant <value = float {1.0}> ()
        count = Constant <value = float {255.0}> ()
        x = Cast <to = 1> (X)
        largest = ReduceMax <keepdims = 1> (x, axes)
        smallest = ReduceMin <keepdims = 1> (x, axes)
        high = Max (largest, none)
        low = Min (smallest, none)
        spread = Sub (high, low)
        step = Div (spread, count)
        flat = Equal (spread, none)
        s = Where (flat, one, step)
        below = Div (low, s)
        offset = Neg (below)
        inside = Clip (offset, none, count)
        z = Round (inside)
        quotient = Div (x, s)
        whole = Round (quotient)
        shifted = Add (whole, z)
        bounded = Clip (shifted, none, count)
        centred = Sub (bounded, z)
        y = Mul (centred, s)
        Y = CastLike (y, X)
    """,
)
