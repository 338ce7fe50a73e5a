"""Reductions (ONNX, all of version 18 or newer) that are not linear: one site each.

ReduceMax, ReduceMin, ReduceProd, ReduceL1, ReduceL2, ReduceSumSquare, ReduceLogSum and
ReduceLogSumExp over `axes`, counted from the last. A neuron sees all that it reduces.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.operator import Attribute, SpikingOperator, unary
from onnx2snn.ops.target import Folded, Target

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


@dataclass(frozen=True)
class _Fold:
    """A reduction member by member: function(each(x_1) o each(x_2) o ...), o is `combine`."""

    combine: str
    each: Callable[[Tensor], Tensor] = lambda x: x
    function: Callable[[Tensor], Tensor] = lambda x: x

    def over(self, axes: tuple[int, ...]) -> Folded:
        """Along these axes."""
        each, function = Target("each", 1, self.each), Target("function", 1, self.function)
        return Folded(axes, self.combine, each, function)


def _reduced(
    name: str, reduce: Reduction, fold: _Fold | None, form: str = ""
) -> Callable[..., Target]:
    """The target of one reduction, by its attributes; `reduce` keeps the axes with size 1.

    fold: the same, member by member.
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
        return Target(
            name=f"{name}(axes={over}, keepdims={keepdims})",
            arity=1,
            function=function,
            body=body,
            constants=constants,
            folded=None if fold is None else fold.over(over),
        )

    return target


def _operator(
    source: str, equation: str, reduce: Reduction, fold: _Fold | None = None, form: str = ""
) -> SpikingOperator:
    return SpikingOperator(
        source=source,
        equation=f"f(x) = {equation} over `axes`",
        build=unary(_reduced(source, reduce, fold, form), "axes", "keepdims"),
        attributes=(Attribute("axes", "ints"), Attribute("keepdims", "int", 1)),
        body=BODY.format(source=source),
    )


REDUCTIONS = (
    _operator("ReduceMax", "max(x)", lambda x, axes: x.amax(axes, keepdim=True), _Fold("max")),
    _operator("ReduceMin", "min(x)", lambda x, axes: x.amin(axes, keepdim=True), _Fold("min")),
    _operator("ReduceProd", "the product of x", _product, _Fold("mul")),
    _operator(
        "ReduceL1",
        "sum(|x|)",
        lambda x, axes: x.abs().sum(axes, keepdim=True),
        _Fold("add", torch.abs),
    ),
    _operator(
        "ReduceL2",
        "sqrt(sum(x^2))",
        lambda x, axes: torch.linalg.vector_norm(x, dim=axes, keepdim=True),
        _Fold("add", torch.square, torch.sqrt),
    ),
    _operator(
        "ReduceSumSquare",
        "sum(x^2)",
        lambda x, axes: x.square().sum(axes, keepdim=True),
        _Fold("add", torch.square),
    ),
    _operator(
        "ReduceLogSum",
        "log(sum(x))",
        _log_sum,
        _Fold("add", function=lambda s: s.clamp_min(SMALLEST).log()),
        LOG_SUM,
    ),
    _operator(
        "ReduceLogSumExp", "log(sum(exp(x)))", lambda x, axes: x.logsumexp(axes, keepdim=True)
    ),
)
