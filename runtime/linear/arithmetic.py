"""Sums, scalings and casts: elementwise operators that are affine in each signal."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.linear.arguments import needed, needed_attribute, optional, present
from onnx2snn.runtime.linear.record import Attributes, LinearOperator, Operands

# onnx.TensorProto.DataType numbers.
_DTYPES = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    4: torch.uint16,
    5: torch.int16,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
    12: torch.uint32,
    13: torch.uint64,
    16: torch.bfloat16,
}


def _add(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Add-14: y = a + b, broadcast."""
    return [needed(operands, 0) + needed(operands, 1)]


def _sub(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Sub-14: y = a - b, broadcast."""
    return [needed(operands, 0) - needed(operands, 1)]


def _mul(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Mul-14: y = a * b, broadcast."""
    return [needed(operands, 0) * needed(operands, 1)]


def _div(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Div-14: y = a / b, broadcast; integers are truncated toward zero."""
    dividend, divisor = needed(operands, 0), needed(operands, 1)
    if dividend.is_floating_point() or divisor.is_floating_point():
        return [dividend / divisor]
    return [torch.div(dividend, divisor, rounding_mode="trunc")]


def _neg(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Neg-13: y = -x."""
    return [-needed(operands, 0)]


def _sum(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Sum-13: y = x1 + ... + xn, broadcast."""
    return [reduce(torch.add, present(operands))]


def _mean(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Mean-13: y = (x1 + ... + xn) / n, broadcast."""
    return [reduce(torch.add, present(operands)) / len(operands)]


def _identity(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Identity-25: y = x."""
    return [needed(operands, 0)]


def _dropout(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Dropout-22 in inference: y = x; the mask is true everywhere."""
    data, training = needed(operands, 0), optional(operands, 2)
    if training is not None and bool(training.any()):
        raise ModelError("training_mode is true; export the model for inference")
    return [data, torch.ones((), dtype=torch.bool, device=data.device).expand(data.shape)]


def _converted(data: Tensor, target: torch.dtype) -> Tensor:
    """`data` as `target`; a floating tensor keeps its dtype among floating ones.

    The runtime chooses one precision for all signals: casts between precisions, which
    exporters leave behind, must not change it.
    """
    if data.is_floating_point() and target.is_floating_point:
        return data
    return data.to(target)


def _cast(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Cast-28: y = x; affine only from one floating type to another."""
    number = int(needed_attribute(attributes, "to"))
    if number not in _DTYPES:
        raise ModelError(f"casts to ONNX data type {number} are not supported")
    return [_converted(needed(operands, 0), _DTYPES[number])]


def _cast_like(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """CastLike-25: Cast to the type of the second operand."""
    return [_converted(needed(operands, 0), needed(operands, 1).dtype)]


def _where(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Where-16: y = a where the condition holds, else b, broadcast; affine in a and b."""
    condition, chosen, other = (needed(operands, position) for position in range(3))
    return [torch.where(condition.to(chosen.device), chosen, other)]


ARITHMETIC = (
    LinearOperator("Add", _add, factors=(), summands=(0, 1)),
    LinearOperator("Sub", _sub, factors=(), summands=(0, 1)),
    LinearOperator("Sum", _sum, factors=(), variadic=True),
    LinearOperator("Mean", _mean, factors=(), variadic=True),
    LinearOperator("Mul", _mul, factors=(0, 1)),
    LinearOperator("Div", _div),
    LinearOperator("Neg", _neg),
    LinearOperator("Identity", _identity),
    LinearOperator("Dropout", _dropout),
    LinearOperator("Cast", _cast),
    LinearOperator("CastLike", _cast_like),
    LinearOperator("Where", _where, factors=(), summands=(1, 2)),
)
