"""Softmax (ONNX Softmax-13): f(x) = exp(x) / sum(exp(x)) along `axis`, counted from the last.

Fused: one row-wise site, whose neurons see their whole row. Decomposed, as in the paper's code:

    e = site power       f(x) = exp(x)
    y = site share       f(e, s, x) = e / s,  s = sum(e), linear

Masks are part of x: an entry at minus infinity has f = 0, and so has a row without any finite
entry, of which the ONNX operator says nothing but NaN. Estimates
of 0 are never quite 0, and the quotient of two of them is anything, so the second site looks at
x as well.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.exp import exp
from onnx2snn.ops.lowering import Lowering
from onnx2snn.ops.operator import Attribute, SpikingOperator
from onnx2snn.ops.target import Target


def softmax(axis: int) -> Target:
    """f(x) = exp(x) / sum(exp(x)) along `axis`; 0 in a row that is masked entirely."""

    def function(x: Tensor) -> Tensor:
        return torch.softmax(x, axis).nan_to_num(0.0)

    return Target(f"softmax(axis={axis})", 1, function)


def share() -> Target:
    """f(e, s, x) = e / s; 0 where exp(x) is 0 or s is not positive."""

    def function(power: Tensor, total: Tensor, x: Tensor) -> Tensor:
        counts = (x.exp() > 0) & (total > 0)
        return torch.where(counts, power / torch.where(total > 0, total, 1.0), 0.0)

    body = """
        e = Exp (X3) some = Greater (e, zero) sound = Greater (X2, zero) counts = And (some, sound)
        s = Where (sound, X2, one) q = Div (X1, s) Y = Where (counts, q, zero)
    """
    return Target("x1/x2 where x3 counts", 3, function, body, {"zero": 0.0, "one": 1.0})


def _build(lowering: Lowering, operands: tuple[str, ...], attributes: Mapping[str, Any]) -> str:
    (x,) = operands
    axis = attributes["axis"]
    if axis >= 0:
        raise ModelError(f"attribute 'axis' is {axis}; in a spiking file it counts from the last")
    if attributes["sites"] == "fused":
        return lowering.site("output", softmax(axis), x)
    powers = lowering.site("power", exp(), x)
    total = lowering.linear("ReduceSum", powers, lowering.constant([axis]), keepdims=1)
    return lowering.site("share", share(), powers, total, x)


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
