"""Sums and means over axes."""

from __future__ import annotations

import torch
from torch import Tensor

from onnx2snn.runtime.linear.arguments import axes_of, axis_of, integers, needed, needed_integers
from onnx2snn.runtime.linear.record import Attributes, LinearOperator, Operands


def _reduced_axes(data: Tensor, operands: Operands, attributes: Attributes) -> list[int] | None:
    """Axes to reduce: those named, else all, or None where nothing is reduced."""
    named = integers(operands, 1)
    if named:
        return axes_of(named, data.ndim)
    return None if attributes.get("noop_with_empty_axes", 0) else list(range(data.ndim))


def _reduce_sum(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """ReduceSum-13: y = sum of x over the axes."""
    data = needed(operands, 0)
    axes = _reduced_axes(data, operands, attributes)
    if axes is None:
        return [data]
    return [data.sum(dim=axes, keepdim=bool(attributes.get("keepdims", 1)), dtype=data.dtype)]


def _reduce_mean(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """ReduceMean-18: y = mean of x over the axes; of integers, truncated toward zero."""
    data = needed(operands, 0)
    axes = _reduced_axes(data, operands, attributes)
    if axes is None:
        return [data]
    keep = bool(attributes.get("keepdims", 1))
    if data.is_floating_point():
        return [data.mean(dim=axes, keepdim=keep)]
    return [data.mean(dim=axes, keepdim=keep, dtype=torch.float64).to(data.dtype)]


def _cumsum(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """CumSum-14: y[i] = x[0] + ... + x[i]; without x[i] if exclusive, from the end if reverse."""
    data = needed(operands, 0)
    axis = axis_of(needed_integers(operands, 1)[0], data.ndim)
    reverse = bool(attributes.get("reverse", 0))
    ordered = data.flip(axis) if reverse else data
    if attributes.get("exclusive", 0) and data.shape[axis]:
        first = torch.zeros_like(ordered.narrow(axis, 0, 1))
        rest = ordered.narrow(axis, 0, data.shape[axis] - 1)
        ordered = torch.cat([first, rest], axis)
    total = ordered.cumsum(axis, dtype=data.dtype)
    return [total.flip(axis) if reverse else total]


REDUCTION = (
    LinearOperator("ReduceSum", _reduce_sum),
    LinearOperator("ReduceMean", _reduce_mean),
    LinearOperator("CumSum", _cumsum),
)
