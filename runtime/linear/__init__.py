"""The operators that are linear in their time-varying signals: standard ones, and Window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from types import MappingProxyType

import torch
from onnx import defs
from torch import Tensor

from onnx2snn.ops import DOMAIN
from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.node import Node
from onnx2snn.runtime.linear.arithmetic import ARITHMETIC
from onnx2snn.runtime.linear.convolution import CONVOLUTION
from onnx2snn.runtime.linear.indexing import INDEXING
from onnx2snn.runtime.linear.pooling import POOLING
from onnx2snn.runtime.linear.product import PRODUCT
from onnx2snn.runtime.linear.record import Apply, Attributes, LinearOperator, Operands
from onnx2snn.runtime.linear.reduction import REDUCTION
from onnx2snn.runtime.linear.resize import RESIZE
from onnx2snn.runtime.linear.roi_align import ROI_ALIGN
from onnx2snn.runtime.linear.sampling import SAMPLING
from onnx2snn.runtime.linear.shape import SHAPE
from onnx2snn.runtime.linear.window import WINDOW

__all__ = ["LINEAR", "LinearOperator", "linear_operator"]

OLDEST_OPSET = 20


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
        ROI_ALIGN,
        WINDOW,
    )
)


def linear_operator(node: Node, opsets: Mapping[str, int]) -> LinearOperator | None:
    """The record of a node; None where there is none, or not for its attributes or opset.

    opsets: versions of the operator domains that the model imports.
    """
    operator = LINEAR.get(node.op_type) if node.domain in ("", DOMAIN) else None
    if operator is None or not operator.accepts(node.attributes):
        return None
    if node.domain:
        return operator
    version = opsets.get("", OLDEST_OPSET)
    if version >= OLDEST_OPSET:
        return operator
    found, oldest = (_since(node.op_type, v) for v in (version, OLDEST_OPSET))
    return operator if found == oldest else None


def _since(op_type: str, version: int) -> int:
    """The opset that last changed the operator, 0 if it is no standard one."""
    try:
        return int(defs.get_schema(op_type, version, "").since_version)
    except defs.SchemaError:
        return 0
