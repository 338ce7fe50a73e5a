"""Schedules by row in place of by channel, where rows differ in size by far more."""

from __future__ import annotations

from torch import Tensor

# How many times larger the largest row must be than the smallest.
APART = 16.0


def axis_of_schedules(target: Tensor, axis: int | None) -> int | None:
    """`axis`, that of the channels, or -2 where rows of f*, [samples, rows, channels], lie apart.

    A class token may be a thousand times smaller than the tokens beside it. Steps that reach all
    of these drown it, and a normalisation then makes it, error and all, as large as they are.
    The rows must mean the same in every sample.
    """
    if axis != -1 or target.dim() != 3:
        return axis
    return -2 if _spread(target, -2) > max(APART, _spread(target, -1)) else axis


def _spread(target: Tensor, axis: int) -> float:
    """The largest over the smallest size of f* along an axis, zeros left out."""
    others = [i for i in range(target.dim()) if i != axis % target.dim()]
    sizes = target.square().mean(others)
    sizes = sizes[sizes > 0]
    return float((sizes.max() / sizes.min()).sqrt()) if sizes.numel() else 1.0
