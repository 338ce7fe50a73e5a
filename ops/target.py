"""Target functions: what a site's neurons approximate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Target:
    """The function f(x_1, ..., x_k) whose value the neurons of a site estimate.

    name:      the field's name of the function, parameters included.
    arity:     k, the number of input currents.
    function:  f on tensors of one shape (or broadcastable ones); pure, device-agnostic.
    body:      f as ONNX text that makes Y of X1, .., Xk, for export; needed where the operator's
               own node is not f, or where its float attributes must be exact in float64.
    constants: the scalars that `body` names, in the precision of the operands.
    """

    name: str
    arity: int
    function: Callable[..., Tensor]
    body: str = ""
    constants: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __call__(self, *currents: Tensor) -> Tensor:
        """f(x_1, ..., x_k), elementwise or along the axes that the function names."""
        return self.function(*currents)
