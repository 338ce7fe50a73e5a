"""Reductions (ONNX, all of version 18 or newer) that are not linear: one site each.

ReduceMax, ReduceMin, ReduceProd, ReduceL1, ReduceL2, ReduceSumSquare, ReduceLogSum and
ReduceLogSumExp over `axes`, counted from the last. A neuron sees all that it reduces.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.operator import Attribute, SpikingOperator, unary
from onnx2snn.ops.target import Target

Reduction = Callable[[Tensor, tuple[int, ...]], Tensor]

BODY = """
    axes = Constant <value_ints: ints = @axes> ()
    Y = {source} <keepdims: int = @keepdims> (X, axes)
"""
SMALLEST = 2.0**-126
"""Below it a float32 loses digits: what strays there counts as this."""


def _product(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    for axis in axes:
        x = x.prod(axis, keepdim=True)
    return x


def _log_sum(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    return x.sum(axes, keepdim=True).clamp_min(SMALLEST).log()


LOG_SUM = """
    axes = Constant <value_ints: ints = {axes}> ()
    s = ReduceSum <keepdims: int = {keepdims}> (X1, axes) p = Max (s, smallest) Y = Log (p)
"""
"""As `_log_sum`."""


def _reduced(name: str, reduce: Reduction, form: str = "") -> Callable[..., Target]:
    """The target of one reduction, by its attributes; `reduce` keeps the axes with size 1.

    form: the target's body, where that is not the operator itself.
    """

    def target(axes: list[int] | None, keepdims: int) -> Target:
        if not axes or max(axes) >= 0:
            raise ModelError(f"attribute 'axes' is {axes}; it needs axes counted from the last")
        over = tuple(axes)

        def function(x: Tensor) -> Tensor:
            result = reduce(x, over)
            return result if keepdims else result.squeeze(over)

        body = form.format(axes=axes, keepdims=keepdims)
        constants = {"smallest": SMALLEST} if form else {}
        return Target(f"{name}(axes={over}, keepdims={keepdims})", 1, function, body, constants)

    return target


def _operator(source: str, equation: str, reduce: Reduction, form: str = "") -> SpikingOperator:
    return SpikingOperator(
        source=source,
        equation=f"f(x) = {equation} over `axes`",
        build=unary(_reduced(source, reduce, form), "axes", "keepdims"),
        attributes=(Attribute("axes", "ints"), Attribute("keepdims", "int", 1)),
        body=BODY.format(source=source),
    )


REDUCTIONS = (
    _operator("ReduceMax", "max(x)", lambda x, axes: x.amax(axes, keepdim=True)),
    _operator("ReduceMin", "min(x)", lambda x, axes: x.amin(axes, keepdim=True)),
    _operator("ReduceProd", "the product of x", _product),
    _operator("ReduceL1", "sum(|x|)", lambda x, axes: x.abs().sum(axes, keepdim=True)),
    _operator(
        "ReduceL2",
        "sqrt(sum(x^2))",
        lambda x, axes: torch.linalg.vector_norm(x, dim=axes, keepdim=True),
    ),
    _operator("ReduceSumSquare", "sum(x^2)", lambda x, axes: x.square().sum(axes, keepdim=True)),
    _operator("ReduceLogSum", "log(sum(x))", _log_sum, LOG_SUM),
    _operator(
        "ReduceLogSumExp", "log(sum(exp(x)))", lambda x, axes: x.logsumexp(axes, keepdim=True)
    ),
)
