"""Target functions: what a site's neurons approximate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Target:
    """The function f(x_1, ..., x_k) whose value the neurons of a site estimate.

    name:     the field's name of the function, parameters included.
    arity:    k, the number of input currents.
    function: f on tensors of one shape (or broadcastable ones); pure, device-agnostic.
    """

    name: str
    arity: int
    function: Callable[..., Tensor]

    def __call__(self, *currents: Tensor) -> Tensor:
        """f(x_1, ..., x_k), elementwise or along the axes that the function names."""
        return self.function(*currents)
