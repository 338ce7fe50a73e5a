"""What the runtime must know of a standard ONNX operator that is linear in its signals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

Attributes = Mapping[str, Any]
Operands = Sequence[Tensor | None]
Apply = Callable[[Operands, Attributes], Sequence[Tensor]]
Macs = Callable[[Operands, Sequence[Tensor], Attributes], int]


def _no_macs(operands: Operands, results: Sequence[Tensor], attributes: Attributes) -> int:
    return 0


def _any(attributes: Attributes) -> bool:
    return True


@dataclass(frozen=True)
class LinearOperator:
    """A standard ONNX operator y = A(x), affine in the operands that vary over time.

    apply:    operands (None where absent) and attributes to the list of results, as the
              ONNX specification says (opset 20 forms and newer). All tensors of one call
              share a device; integer operands that state shapes, axes or pads are on the CPU.
    factors:  positions of operands the result is linear in; at most one of them may vary
              over time (Conv: input and weight; Mul: both; Div: the numerator only). Their
              product is one more summand: where none of them varies, it is constant.
    summands: positions of operands that are added: any number may vary, and those that are
              constant vanish from increments (Conv: bias; Add: both; Pad: data and fill).
    variadic: every operand counts as a summand (Add, Sum, Concat).
    batched:  axis 0 of operand 0 is a pure batch axis, so that time steps may be folded
              into it while no other operand varies.
    accepts:  whether a node with these attributes is linear; others are none of this record.
    macs:     multiply-accumulates of one application, 0 for operators without weights.
    """

    op_type: str
    apply: Apply
    factors: tuple[int, ...] = (0,)
    summands: tuple[int, ...] = ()
    variadic: bool = False
    batched: bool = False
    accepts: Callable[[Attributes], bool] = _any
    macs: Macs = _no_macs

    @property
    def is_weighted(self) -> bool:
        """Whether it multiplies and accumulates."""
        return self.macs is not _no_macs

    def is_linear_in(self, varying: frozenset[int]) -> bool:
        """Whether the result is affine when exactly the operands `varying` change over time."""
        if self.variadic:
            return True
        return varying <= {*self.factors, *self.summands} and len(varying & set(self.factors)) <= 1

    def is_product_of(self, varying: frozenset[int]) -> bool:
        """Whether the result is a product of two or more signals that change over time."""
        return len(varying & set(self.factors)) > 1 and varying <= {*self.factors, *self.summands}
