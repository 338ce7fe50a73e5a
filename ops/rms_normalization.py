"""RMSNormalization (ONNX RMSNormalization-23): f(x) = scale * x / sqrt(mean(x^2) + epsilon).

In two sites, as the paper's LayerNormalization without its mean,

    q = site square          f(x) = x^2
    z = site quotient        f(x, m) = x / sqrt(m + epsilon),  m = mean(q), linear
    y = scale * z            linear

or, fused, in one site whose neurons see their whole row.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from onnx2snn.ops.layer_normalization import (
    SITES,
    paper_quotient,
    quotient,
    square,
    trailing_axes,
)
from onnx2snn.ops.lowering import Lowering
from onnx2snn.ops.operator import Attribute, SpikingOperator, is_paper
from onnx2snn.ops.target import Moments, Rowwise, Target


def scaled(axes: tuple[int, ...], epsilon: float) -> Target:
    """f(x) = x / sqrt(mean(x^2) + epsilon) over `axes`, counted from the last."""

    def function(x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(axes, keepdim=True) + epsilon)

    name = f"rms_normalization(axes={axes}, epsilon={epsilon:g})"
    body = f"""
        axes = Constant <value_ints: ints = {list(axes)}> ()
        q = Mul (X1, X1) m = ReduceMean (q, axes) s = Add (m, epsilon) d = Sqrt (s)
        Y = Div (X1, d)
    """
    over_row = Target("x1*x3", 3, lambda x, _, r: x * r)
    rowwise = Rowwise(axes, Moments(epsilon, centred=False), over_row)
    return Target(name, 1, function, body, {"epsilon": epsilon}, rowwise=rowwise)


def _build(lowering: Lowering, operands: tuple[str, ...], attributes: Mapping[str, Any]) -> str:
    x, scale = operands
    axes, epsilon = trailing_axes(attributes["axis"]), attributes["epsilon"]
    if attributes["sites"] == "fused":
        z = lowering.site("normalised", scaled(axes, epsilon), x)
    else:
        squares = lowering.site("square", square(), x)
        mean = lowering.linear("ReduceMean", squares, lowering.constant(axes), keepdims=1)
        ratio = (paper_quotient if is_paper(attributes) else quotient)(epsilon)
        z = lowering.site("normalised", ratio, x, mean)
    return lowering.linear("Mul", z, scale)


BODY = """
    first = Constant <value_int: int = @axis> ()
    end = Constant <value_int: int = 0> ()
    stride = Constant <value_int: int = 1> ()
    axes = Range (first, end, stride)
    squares = Mul (X, X)
    mean = ReduceMean <keepdims: int = 1> (squares, axes)
    offset = Constant <value_float: float = @epsilon> ()
    typed = CastLike (offset, mean)
    shifted = Add (mean, typed)
    deviation = Sqrt (shifted)
    normalised = Div (X, deviation)
    Y = Mul (normalised, scale)
"""

RMS_NORMALIZATION = SpikingOperator(
    source="RMSNormalization",
    equation="f(x) = scale * x / sqrt(mean(x^2) + epsilon)",
    build=_build,
    operands=("X", "scale"),
    body=BODY,
    attributes=(
        Attribute("axis", "int", -1),
        Attribute("epsilon", "float", 1e-5),
        Attribute("stash_type", "int", 1),
        SITES,
    ),
    claim=0.015,
)
