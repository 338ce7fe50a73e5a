"""Target functions: what a site's neurons approximate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from onnx2snn.ops.windows import Windows


@dataclass(frozen=True)
class Predicate:
    """When a binary neuron fires, where that is not v >= f(x_1, ..., x_k).

    function: (v, x_1, ..., x_k) -> boolean tensor.
    body:     the same as ONNX text that makes S of V, X1, .., Xk.
    """

    function: Callable[..., Tensor]
    body: str


@dataclass(frozen=True)
class Target:
    """The function f(x_1, ..., x_k) whose value the neurons of a site estimate.

    name:      the field's name of the function, parameters included.
    arity:     k, the number of input currents.
    function:  f on tensors of one shape (or broadcastable ones); pure, device-agnostic.
    body:      f as ONNX text that makes Y of X1, .., Xk, for export; needed where the operator's
               own node is not f, or where its float attributes must be exact in float64.
    constants: the scalars that the bodies name, in the precision of the operands.
    fires:     when a binary neuron fires, if not where v >= f.
    windowed:  what f is over the members of windows, where it is that.
    rowwise:   what f is over a neuron's row, where it is that.
    folded:    what f is of all members together, where it is that.
    remainder: what f is left of, where a part of that passes by the neurons.
    """

    name: str
    arity: int
    function: Callable[..., Tensor]
    body: str = ""
    constants: Mapping[str, float] = field(default_factory=dict, hash=False)
    fires: Predicate | None = None
    windowed: Windowed | None = None
    rowwise: Rowwise | None = None
    folded: Folded | None = None
    remainder: Remainder | None = None

    def __call__(self, *currents: Tensor) -> Tensor:
        """f(x_1, ..., x_k), elementwise or along the axes that the function names."""
        return self.function(*currents)

    @property
    def over_members(self) -> Target:
        """f as an elementwise function: of `members`, or of x, m and r of a `Rowwise`."""
        if self.rowwise is not None:
            return self.rowwise.function
        return self if self.windowed is None else self.windowed.function

    @property
    def sees_members(self) -> bool:
        """Whether a neuron sees several numbers of one current, all alike."""
        return self.windowed is not None or self.folded is not None

    def members(self, *currents: Tensor) -> list[Tensor]:
        """What one neuron's f is a function of: the currents, or its window of a current."""
        if self.windowed is None:
            return list(currents)
        (x,) = currents
        return self.windowed.windows.members(x)


@dataclass(frozen=True)
class Windowed:
    """An elementwise function of the members of windows over the last axes of one current."""

    windows: Windows
    function: Target


@dataclass(frozen=True)
class Moments:
    """m and r = 1 / sqrt(q + epsilon) of a row.

    centred: m = mean(x) and q = mean((x - m)^2) if so, else m = 0 and q = mean(x^2).
    """

    epsilon: float
    centred: bool


@dataclass(frozen=True)
class Powers:
    """m = exp(x - max(x)) and r = 1 / sum(m), both 0 in a row without any finite x."""


@dataclass(frozen=True)
class Rowwise:
    """An elementwise function of x and of two numbers that its row gives each neuron, m and r.

    axes:       of a row, counted from the last.
    statistics: what m and r are.
    function:   of (x, m, r).
    """

    axes: tuple[int, ...]
    statistics: Moments | Powers
    function: Target


@dataclass(frozen=True)
class Folded:
    """function(each(x_1) o each(x_2) o ...), of the members of a window or of all along axes.

    axes:     counted from the last; () of windows.
    combine:  o, one of "max", "min", "add" and "mul".
    each:     an elementwise function.
    function: another one.
    """

    axes: tuple[int, ...]
    combine: str
    each: Target
    function: Target


@dataclass(frozen=True)
class Remainder:
    """f(x) - c l(x), l the linear part of f (`ops.passing`).

    whole: f.
    slope: c.
    """

    whole: Target
    slope: float


def identity() -> Target:
    """f(x) = x."""
    return Target("identity", 1, lambda x: x)


def strict(target: Target) -> Target:
    """The target whose neurons keep silent at ties: they fire where v > f(x), not v = f(x)."""
    predicate = Predicate(
        lambda v, *currents: v > target(*currents), f"{target.body} S = Greater (V, Y)"
    )
    return replace(target, fires=predicate)


def decimal(number: float) -> float:
    """The shortest decimal that `number`, stored in single precision, stands for: 1e-5, 0.1."""
    return float(str(np.float32(number)))
