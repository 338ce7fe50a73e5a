"""LayerNormalization (ONNX LayerNormalization-17), in the paper's two sites or in one.

Decomposed (paper, section 5): with c = x - mean(x), linear,

    q = site square          f(c) = c^2
    z = site quotient        f(c, m) = c / sqrt(m + epsilon),  m = mean(q), linear
    y = scale * z + bias     linear

Fused: one site whose neurons see their whole row, f(x) = (x - mean(x)) / sqrt(var(x) + epsilon).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.lowering import Lowering
from onnx2snn.ops.operator import Attribute, SpikingOperator, is_paper
from onnx2snn.ops.target import Moments, Predicate, Rowwise, Target, decimal


def square() -> Target:
    """f(x) = x^2."""
    return Target("square", 1, torch.square, "Y = Mul (X1, X1)")


def quotient(epsilon: float) -> Target:
    """f(x_1, x_2) = x_1 / sqrt(max(x_2, 0) + epsilon)."""
    return Target(
        f"x1/sqrt(x2+{epsilon:g})",
        2,
        lambda a, b: a * torch.rsqrt(b.clamp_min(0.0) + epsilon),
        "m = Max (X2, zero) s = Add (m, epsilon) d = Sqrt (s) Y = Div (X1, d)",
        {"zero": 0.0, "epsilon": epsilon},
    )


def paper_quotient(epsilon: float) -> Target:
    """The same, fired as in the paper's code: sqrt(x_2 + epsilon) * v > x_1.

    Silent at ties, and where the estimate of the variance is negative.
    """
    epsilon = decimal(epsilon)
    predicate = Predicate(
        lambda v, a, b: (b + epsilon).sqrt() * v > a,
        "s = Add (X2, epsilon) d = Sqrt (s) p = Mul (d, V) S = Greater (p, X1)",
    )
    return replace(quotient(epsilon), fires=predicate)


def normalised(axes: tuple[int, ...], epsilon: float) -> Target:
    """f(x) = (x - mean(x)) / sqrt(var(x) + epsilon) over `axes`, counted from the last."""

    def function(x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, dim=axes, correction=0, keepdim=True)
        return (x - mean) * torch.rsqrt(variance + epsilon)

    name = f"layer_normalization(axes={axes}, epsilon={epsilon:g})"
    body = f"""
        axes = Constant <value_ints: ints = {list(axes)}> ()
        m = ReduceMean (X1, axes) c = Sub (X1, m) q = Mul (c, c) v = ReduceMean (q, axes)
        s = Add (v, epsilon) d = Sqrt (s) Y = Div (c, d)
    """
    over_row = Target("(x1-x2)*x3", 3, lambda x, m, r: (x - m) * r)
    rowwise = Rowwise(axes, Moments(epsilon, centred=True), over_row)
    return Target(name, 1, function, body, {"epsilon": epsilon}, rowwise=rowwise)


def normalise(
    lowering: Lowering, x: str, axes: tuple[int, ...], attributes: Mapping[str, Any]
) -> str:
    """(x - mean(x)) / sqrt(var(x) + epsilon) over `axes` in the sites that the attributes ask."""
    epsilon = attributes["epsilon"]
    if attributes["sites"] == "fused":
        return lowering.site("normalised", normalised(axes, epsilon), x)
    over = lowering.constant(axes)
    centred = lowering.linear("Sub", x, lowering.linear("ReduceMean", x, over, keepdims=1))
    squares = lowering.site("square", square(), centred)
    variance = lowering.linear("ReduceMean", squares, over, keepdims=1)
    ratio = (paper_quotient if is_paper(attributes) else quotient)(epsilon)
    return lowering.site("normalised", ratio, centred, variance)


def trailing_axes(axis: int) -> tuple[int, ...]:
    """The axes from `axis` on, counted from the last."""
    if axis >= 0:
        raise ModelError(f"attribute 'axis' is {axis}; in a spiking file it counts from the last")
    return tuple(range(axis, 0))


def _build(lowering: Lowering, operands: tuple[str, ...], attributes: Mapping[str, Any]) -> str:
    x, scale, bias = operands
    z = normalise(lowering, x, trailing_axes(attributes["axis"]), attributes)
    z = lowering.linear("Mul", z, scale)
    return lowering.linear("Add", z, bias) if bias else z


BODY = """
    first = Constant <value_int: int = @axis> ()
    end = Constant <value_int: int = 0> ()
    stride = Constant <value_int: int = 1> ()
    axes = Range (first, end, stride)
    mean = ReduceMean <keepdims: int = 1> (X, axes)
    centred = Sub (X, mean)
    squares = Mul (centred, centred)
    variance = ReduceMean <keepdims: int = 1> (squares, axes)
    offset = Constant <value_float: float = @epsilon> ()
    typed = CastLike (offset, variance)
    shifted = Add (variance, typed)
    deviation = Sqrt (shifted)
    normalised = Div (centred, deviation)
    gained = Mul (normalised, scale)
    Y = Add (gained, bias)
"""
"""Written out, since onnxruntime 1.31 dies of a float16 LayerNormalization inside a function."""

SITES = Attribute("sites", "string", "decomposed", ("decomposed", "fused"))

LAYER_NORMALIZATION = SpikingOperator(
    source="LayerNormalization",
    equation="f(x) = scale * (x - mean(x)) / sqrt(var(x) + epsilon) + bias",
    build=_build,
    operands=("X", "scale", "bias"),
    optional=1,
    body=BODY,
    attributes=(
        Attribute("axis", "int", -1),
        Attribute("epsilon", "float", 1e-5),
        Attribute("stash_type", "int", 1),
        SITES,
    ),
    claim=0.03,
)
