"""Pad: cells added before and after each axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.linear.arguments import (
    axes_of,
    begin_end,
    choice,
    integers,
    needed,
    needed_integers,
    optional,
)
from onnx2snn.runtime.linear.record import Attributes, LinearOperator, Operands

Mode = Literal["constant", "reflect", "edge", "wrap"]


def _pad(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Pad-25: cells added before and after each axis, or cut off where a pad is negative."""
    data, fill = needed(operands, 0), optional(operands, 2)
    if is_constant(attributes):
        return [_constant_pad(data, _all_pads(data.shape, operands), fill)]
    return [copied(data, padded_cells(data.shape, operands, attributes))]


def padded_cells(
    shape: Sequence[int], operands: Operands, attributes: Attributes
) -> dict[int, list[int]]:
    """By axis that Pad changes: the cell that each of the result is a copy of."""
    mode, pads, found = _mode(attributes), _all_pads(shape, operands), dict[int, list[int]]()
    for axis, size in enumerate(shape):
        before, after = pads[axis], pads[axis + len(shape)]
        cells = np.arange(size)[max(-before, 0) : max(size + min(after, 0), 0)]
        around = (max(before, 0), max(after, 0))
        if any(around):
            if not cells.size:
                raise ModelError(f"axis {axis} is empty, mode '{mode}' has nothing to repeat")
            cells = np.pad(cells, around, mode=mode)
        if before or after:
            found[axis] = cells.tolist()
    return found


def copied(data: Tensor, cells: dict[int, list[int]], first: int = 0) -> Tensor:
    """The cells named, axis by axis; axes count from axis `first` of the tensor on."""
    for axis, kept in cells.items():
        data = data.index_select(axis + first, torch.tensor(kept, device=data.device))
    return data


def zero_padded(data: Tensor, shape: Sequence[int], operands: Operands) -> Tensor:
    """The last axes, of this shape, padded with zeros."""
    return F.pad(data, begin_end(_all_pads(shape, operands)))


def is_constant(attributes: Attributes) -> bool:
    """Whether cells outside are constant, not copies."""
    return _mode(attributes) == "constant"


def _mode(attributes: Attributes) -> Mode:
    return cast(Mode, choice(attributes, "mode", get_args(Mode)))


def _all_pads(shape: Sequence[int], operands: Operands) -> list[int]:
    """Pads [b1, b2, ..., e1, e2, ...] of all axes; those not named have none."""
    pads, named, rank = needed_integers(operands, 1), integers(operands, 3), len(shape)
    axes = list(range(rank)) if named is None else axes_of(named, rank)
    if len(pads) != 2 * len(axes):
        raise ModelError(f"{len(pads)} pads given for {len(axes)} axes")
    full = [0] * (2 * rank)
    for position, axis in enumerate(axes):
        full[axis] = pads[position]
        full[axis + rank] = pads[position + len(axes)]
    return full


def _constant_pad(data: Tensor, pads: Sequence[int], fill: Tensor | None) -> Tensor:
    order = begin_end(pads)
    padded = F.pad(data, order)
    if fill is None:
        return padded
    inside = F.pad(torch.ones(data.shape, dtype=torch.bool, device=data.device), order)
    return torch.where(inside, padded, fill.reshape(()).to(data.device))


PAD = LinearOperator("Pad", _pad, factors=(), summands=(0, 2))
