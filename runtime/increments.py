"""How a linear step acts on increments: y = A(x) becomes dy = A(dx) - A(0)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from onnx2snn.runtime.nodes import Operands
from onnx2snn.runtime.plan import LinearStep

T = TypeVar("T")

_OPTIONAL_BIAS = ("Conv", "ConvTranspose", "Gemm")


def constant_summands(step: LinearStep, count: int) -> dict[int, bool]:
    """Constant operands, of `count`, that vanish from increments; whether they can be left out."""
    operator, varying = step.operator, step.varying
    positions = set(range(count) if operator.variadic else operator.summands)
    if positions and not operator.variadic and not varying & set(operator.factors):
        positions.update(operator.factors[:1])
    constant = {i for i in positions if i < count} - varying
    return {i: i == 2 and step.node.op_type in _OPTIONAL_BIAS for i in constant}


def increment_operands(step: LinearStep, operands: Operands) -> Operands:
    """Operands for increments: constant summands vanish, varying operands stay open."""
    bound: Operands = [None if i in step.varying else x for i, x in enumerate(operands)]
    for i, optional in constant_summands(step, len(operands)).items():
        x = bound[i]
        if x is not None:
            bound[i] = None if optional else torch.zeros_like(x)
    return bound


def is_transparent(step: LinearStep, operands: Operands, results: Sequence[Tensor]) -> bool:
    """Whether increments pass unchanged: a constant is added to one signal of full shape."""
    signal = only(operands, step.varying)
    if len(step.varying) != 1 or signal is None or signal.shape != results[0].shape:
        return False
    return step.node.op_type in ("Add", "Sum") or (
        step.node.op_type == "Sub" and step.varying == {0}
    )


def only(operands: Sequence[T] | Mapping[int, T], positions: Iterable[int]) -> T:
    """The operand at the first (as a rule, the one) position named."""
    return operands[next(iter(positions))]
