"""The operators that are linear in their time-varying signals: standard ones, and Window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from types import MappingProxyType

import torch
from torch import Tensor

from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.linear.arithmetic import ARITHMETIC
from onnx2snn.runtime.linear.convolution import CONVOLUTION
from onnx2snn.runtime.linear.indexing import INDEXING
from onnx2snn.runtime.linear.pooling import POOLING
from onnx2snn.runtime.linear.product import PRODUCT
from onnx2snn.runtime.linear.record import Apply, Attributes, LinearOperator, Operands
from onnx2snn.runtime.linear.reduction import REDUCTION
from onnx2snn.runtime.linear.resize import RESIZE
from onnx2snn.runtime.linear.sampling import SAMPLING
from onnx2snn.runtime.linear.shape import SHAPE
from onnx2snn.runtime.linear.window import WINDOW

__all__ = ["LINEAR", "LinearOperator"]


def _explained(apply: Apply) -> Apply:
    """`apply` with torch's complaints about operands as one-line model errors."""

    @wraps(apply)
    def explained(operands: Operands, attributes: Attributes) -> Sequence[Tensor]:
        try:
            return apply(operands, attributes)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            shapes = ", ".join("none" if x is None else str(list(x.shape)) for x in operands)
            raise ModelError(f"operands of shape {shapes}: {reason}") from error

    return explained


def _table(operators: Iterable[LinearOperator]) -> Mapping[str, LinearOperator]:
    table: dict[str, LinearOperator] = {}
    for operator in operators:
        if operator.op_type in table:
            raise ValueError(f"{operator.op_type} is registered twice")
        table[operator.op_type] = replace(operator, apply=_explained(operator.apply))
    return MappingProxyType(table)


LINEAR: Mapping[str, LinearOperator] = _table(
    (
        *ARITHMETIC,
        *PRODUCT,
        *CONVOLUTION,
        *POOLING,
        *SHAPE,
        *INDEXING,
        *REDUCTION,
        *RESIZE,
        *SAMPLING,
        WINDOW,
    )
)
