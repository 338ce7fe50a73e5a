"""Operators that pick or place elements at constant positions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.linear.arguments import (
    axes_of,
    axis_of,
    choice,
    integers,
    needed,
    needed_integers,
    wrapped,
)
from onnx2snn.runtime.linear.record import Attributes, LinearOperator, Operands


def _span(start: int, end: int, step: int, size: int) -> tuple[slice, bool]:
    """A forward slice with the elements of start:end:step, and whether to reverse them."""
    if step == 0:
        raise ModelError("a step is 0")
    start, end = (bound + size if bound < 0 else bound for bound in (start, end))
    if step > 0:
        return slice(min(max(start, 0), size), min(max(end, 0), size), step), False
    start = min(max(start, 0), size - 1)
    picked = range(start, min(max(end, -1), size - 1), step)
    if not picked:
        return slice(0, 0, 1), False
    return slice(picked[-1], start + 1, -step), True


def cuts(operands: Operands, sizes: Sequence[int]) -> tuple[tuple[slice, ...], list[int]]:
    """What a Slice takes of axes of these sizes, and which of them it reverses."""
    starts, ends = needed_integers(operands, 1), needed_integers(operands, 2)
    named, steps = integers(operands, 3), integers(operands, 4)
    axes = list(range(len(starts))) if named is None else axes_of(named, len(sizes))
    steps = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps) <= len(sizes):
        raise ModelError("starts, ends, axes and steps differ in length or exceed the rank")
    cut, reverse = [slice(None)] * len(sizes), []
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        cut[axis], backward = _span(start, end, step, sizes[axis])
        if backward:
            reverse.append(axis)
    return tuple(cut), reverse


def _slice(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Slice-13: start:end:step along each named axis, bounds clamped to the axis."""
    data = needed(operands, 0)
    cut, reverse = cuts(operands, data.shape)
    return [data[cut].flip(reverse) if reverse else data[cut]]


def _gather(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Gather-13: y[..., i, ...] = x[..., indices[i], ...] along `axis`."""
    data, indices = needed(operands, 0), needed(operands, 1)
    axis = axis_of(int(attributes.get("axis", 0)), data.ndim)
    index = wrapped(indices, data.shape[axis], data.device)
    if index.ndim == 1:
        return [data.index_select(axis, index)]
    shape = data.shape[:axis] + index.shape + data.shape[axis + 1 :]
    return [data.index_select(axis, index.reshape(-1)).reshape(shape)]


def _gather_elements(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """GatherElements-13: y[i, j] = x[indices[i, j], j] for axis 0, likewise for others."""
    data, indices = needed(operands, 0), needed(operands, 1)
    axis = axis_of(int(attributes.get("axis", 0)), data.ndim)
    return [data.gather(axis, wrapped(indices, data.shape[axis], data.device))]


def _points(indices: Tensor, sizes: Sequence[int], device: torch.device) -> tuple[Tensor, ...]:
    """The rows of `indices` as one index tensor per axis that they address."""
    if indices.ndim == 0 or indices.shape[-1] > len(sizes):
        raise ModelError(f"indices of shape {list(indices.shape)} do not fit {len(sizes)} axes")
    return tuple(
        wrapped(column, size, device)
        for column, size in zip(indices.unbind(-1), sizes, strict=False)
    )


def _gather_nd(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """GatherND-13: y[b, i, ...] = x[b, indices[b, i], ...] with `batch_dims` axes in b."""
    data, indices = needed(operands, 0), needed(operands, 1)
    batch = int(attributes.get("batch_dims", 0))
    rest = _points(indices, data.shape[batch:], data.device)
    rank = indices.ndim - 1
    grid = tuple(
        torch.arange(size, device=data.device).reshape((-1,) + (1,) * (rank - 1 - axis))
        for axis, size in enumerate(data.shape[:batch])
    )
    return [data[grid + rest]]


def _added(attributes: Attributes) -> bool:
    return choice(attributes, "reduction", ("none", "add")) == "add"


def _scatter_elements(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """ScatterElements-18: x with y[indices[i, j], j] = updates[i, j], or += for `add`."""
    data, indices, updates = (needed(operands, position) for position in range(3))
    axis = axis_of(int(attributes.get("axis", 0)), data.ndim)
    index = wrapped(indices, data.shape[axis], data.device)
    if _added(attributes):
        return [data.scatter_add(axis, index, updates)]
    return [data.scatter(axis, index, updates)]


def _scatter_nd(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """ScatterND-18: x with y[indices[i], ...] = updates[i, ...], or += for `add`."""
    data, indices, updates = (needed(operands, position) for position in range(3))
    points = _points(indices, data.shape, data.device)
    return [data.index_put(points, updates, accumulate=_added(attributes))]


def _trilu(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Trilu-14: the upper or lower triangle from diagonal k on, zeros elsewhere."""
    data, diagonal = needed(operands, 0), integers(operands, 1)
    k = diagonal[0] if diagonal else 0
    return [data.triu(k) if attributes.get("upper", 1) else data.tril(k)]


def _reverse_sequence(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """ReverseSequence-28: the first sequence_lens[b] steps of each batch entry, backward."""
    data, lengths = needed(operands, 0), needed(operands, 1)
    time, batch = int(attributes.get("time_axis", 0)), int(attributes.get("batch_axis", 1))
    if {time, batch} != {0, 1} or data.ndim < 2:
        raise ModelError(f"time_axis {time} and batch_axis {batch} must be 0 and 1")
    steps = torch.arange(data.shape[time], device=data.device).unsqueeze(batch)
    last = lengths.to(device=data.device, dtype=torch.int64).unsqueeze(time) - 1
    index = torch.where(steps <= last, last - steps, steps)
    index = index.reshape(index.shape + (1,) * (data.ndim - 2)).expand(data.shape)
    return [data.gather(time, index)]


def _compress(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Compress-11: the entries along `axis`, or of the flattened x, where the condition holds."""
    data, condition = needed(operands, 0), needed(operands, 1)
    axis = attributes.get("axis")
    source = data.reshape(-1) if axis is None else data
    index = condition.reshape(-1).nonzero().reshape(-1).to(data.device)
    return [source.index_select(0 if axis is None else axis_of(int(axis), data.ndim), index)]


def _replaces_or_adds(attributes: Attributes) -> bool:
    return attributes.get("reduction", "none") in ("none", "add")


INDEXING = (
    LinearOperator("Compress", _compress),
    LinearOperator("Slice", _slice),
    LinearOperator("Gather", _gather),
    LinearOperator("GatherElements", _gather_elements),
    LinearOperator("GatherND", _gather_nd),
    LinearOperator(
        "ScatterElements",
        _scatter_elements,
        factors=(),
        summands=(0, 2),
        accepts=_replaces_or_adds,
    ),
    LinearOperator(
        "ScatterND", _scatter_nd, factors=(), summands=(0, 2), accepts=_replaces_or_adds
    ),
    LinearOperator("Trilu", _trilu),
    LinearOperator("ReverseSequence", _reverse_sequence),
)
