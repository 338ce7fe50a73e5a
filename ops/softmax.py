"""Softmax (ONNX Softmax-13): f(x) = exp(x) / sum(exp(x)) along `axis`, counted from the last.

Fused: one row-wise site, whose neurons see their whole row. Decomposed, of three sites, of which
the first alone sees a row:

    m = site peak        f(x) = max(x)
    e = site power       f(x, m) = exp(min(x - m, 1))
    y = site share       f(e, s, x, m) = e / s,  s = sum(e), linear

In the limit x <= m, so that no score is too large for exp. Until then an estimate of m that is
too low by up to 1 changes e and s alike. With the paper's dynamics there is no m, as in its code.

Masks are part of x: an entry at minus infinity has f = 0, and so has a row without any finite
entry, of which the ONNX operator says nothing but NaN. Estimates
of 0 are never quite 0, and the quotient of two of them is anything, so the last site looks at
x as well. Of a row that is masked entirely, m = 0.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.exp import exp
from onnx2snn.ops.lowering import Lowering
from onnx2snn.ops.operator import Attribute, SpikingOperator, is_paper
from onnx2snn.ops.target import Powers, Rowwise, Target

MASKED = -5000.0
"""What a score is below where a mask hides it; such masks are -10000 or lower."""


def softmax(axis: int) -> Target:
    """f(x) = exp(x) / sum(exp(x)) along `axis`; 0 in a row that is masked entirely."""

    def function(x: Tensor) -> Tensor:
        return torch.softmax(x, axis).nan_to_num(0.0)

    over_row = Target("x2*x3", 3, lambda _, power, r: power * r)
    rowwise = Rowwise((axis,), Powers(), over_row)
    return Target(f"softmax(axis={axis})", 1, function, rowwise=rowwise)


def peak(axis: int) -> Target:
    """f(x) = max(x) along `axis`; 0 in a row that is masked entirely."""

    def function(x: Tensor) -> Tensor:
        largest = x.amax(axis, keepdim=True)
        return torch.where(largest > MASKED, largest, 0.0)

    body = f"""
        axes = Constant <value_ints: ints = [{axis}]> ()
        m = ReduceMax <keepdims: int = 1> (X1, axes)
        seen = Greater (m, masked) Y = Where (seen, m, zero)
    """
    return Target(f"max(axis={axis})", 1, function, body, {"masked": MASKED, "zero": 0.0})


def power() -> Target:
    """f(x, m) = exp(min(x - m, 1))."""

    def function(x: Tensor, largest: Tensor) -> Tensor:
        return (x - largest).clamp(max=1.0).exp()

    body = "d = Sub (X1, X2) c = Min (d, one) Y = Exp (c)"
    return Target("exp(min(x1-x2, 1))", 2, function, body, {"one": 1.0})


def share() -> Target:
    """f(e, s, x, m) = e / s; 0 where exp(x - m) is 0 or s is not positive."""

    def function(power: Tensor, total: Tensor, x: Tensor, largest: Tensor) -> Tensor:
        counts = ((x - largest).clamp(max=1.0).exp() > 0) & (total > 0)
        return torch.where(counts, power / torch.where(total > 0, total, 1.0), 0.0)

    body = """
        d = Sub (X3, X4) c = Min (d, one) e = Exp (c) some = Greater (e, zero)
        sound = Greater (X2, zero) counts = And (some, sound)
        s = Where (sound, X2, one) q = Div (X1, s) Y = Where (counts, q, zero)
    """
    return Target("x1/x2 where x3-x4 counts", 4, function, body, {"zero": 0.0, "one": 1.0})


def _build(lowering: Lowering, operands: tuple[str, ...], attributes: Mapping[str, Any]) -> str:
    (x,) = operands
    axis = attributes["axis"]
    if axis >= 0:
        raise ModelError(f"attribute 'axis' is {axis}; in a spiking file it counts from the last")
    if attributes["sites"] == "fused":
        return lowering.site("output", softmax(axis), x)
    if is_paper(attributes):
        largest = lowering.number(0.0)
        powers = lowering.site("power", exp(), x)
    else:
        largest = lowering.site("peak", peak(axis), x)
        powers = lowering.site("power", power(), x, largest)
    total = lowering.linear("ReduceSum", powers, lowering.constant([axis]), keepdims=1)
    return lowering.site("share", share(), powers, total, x, largest)


BODY = """
    shares = Softmax <axis: int = @axis> (X)
    masked = IsNaN (shares)
    nothing = Constant <value_float: float = 0.0> ()
    zero = CastLike (nothing, shares)
    Y = Where (masked, zero, shares)
"""

SOFTMAX = SpikingOperator(
    source="Softmax",
    equation="f(x) = exp(x) / sum(exp(x)) along `axis`, 0 in a row that is masked entirely",
    build=_build,
    body=BODY,
    attributes=(
        Attribute("axis", "int", -1),
        Attribute("sites", "string", "fused", ("fused", "decomposed")),
    ),
)
