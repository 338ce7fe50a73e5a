"""How the neurons of a site lie in memory, and where kernels find what they read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import gcd, prod

import torch
from torch import Tensor

from onnx2snn.ops.target import Target
from onnx2snn.runtime.fused.kernel import Reading, Row
from onnx2snn.runtime.fused.operands_source import CHUNK, MOST_MEMBERS
from onnx2snn.runtime.state import Parameters

CHANNELS_LAST = (0, 2, 3, 1)
# Parameters are spread over memory up to this many numbers per site.
MOST_PARAMETERS = 1 << 24
# Neurons after which parameters repeat, where they would sooner: in the first-level cache the fewer
# the better, and vectors of WIDEST numbers are full.
LEAST_PERIOD, WIDEST = 64, 16
# Windows are read at places of 32 bits.
MOST_PLACES = 1 << 31


@dataclass(frozen=True)
class Layout:
    """The order of a site's axes in memory, and its parameters in that order.

    order:  axes from the outermost to the innermost.
    period: neurons after which step sizes repeat.
    step_sizes, thresholds: shape [T, neurons after which these repeat, once or several times].
    readings: of what neurons see, by the shape of what it lies in.
    """

    shape: torch.Size
    order: tuple[int, ...]
    period: int
    step_sizes: Tensor
    thresholds: Tensor
    readings: dict[torch.Size, Reading | None] = field(default_factory=dict, compare=False)

    @cached_property
    def inverse(self) -> tuple[int, ...]:
        """The permutation back from memory's order."""
        return tuple(self.order.index(i) for i in range(len(self.order)))

    @cached_property
    def plain(self) -> bool:
        """Whether memory's order is that of the axes."""
        return self.order == tuple(range(len(self.order)))

    def flat(self, tensor: Tensor, extra: int = 0) -> Tensor:
        """`tensor` contiguous in memory's order, its first `extra` axes kept in front."""
        if self.plain:
            return tensor.contiguous()
        order = (*range(extra), *(i + extra for i in self.order))
        return tensor.permute(order).contiguous()

    def shaped(self, memory: Tensor, shape: torch.Size, extra: int = 0) -> Tensor:
        """A view of contiguous `memory` in the order of the site's own axes."""
        lead = memory.shape[:extra]
        if self.plain:
            return memory.view(*lead, *shape)
        view = memory.view(*lead, *(shape[i] for i in self.order))
        return view.permute(*range(extra), *(i + extra for i in self.inverse))

    def rows(self, shape: torch.Size) -> int:
        """Neurons per value of an operand that is broadcast along the last axes; 0: otherwise."""
        if shape == self.shape:
            return 1
        if len(shape) != len(self.shape):
            return 0
        here = [shape[i] for i in self.order]
        full = [self.shape[i] for i in self.order]
        kept = len(here)
        while kept and here[kept - 1] == 1:
            kept -= 1
        return prod(full[kept:]) if here[:kept] == full[:kept] else 0

    def order_of(self, rank: int) -> tuple[int, ...]:
        """The order in memory of an operand's axes, which may be more than the site's."""
        return self.order if rank == len(self.order) else tuple(range(rank))

    def reading(self, target: Target, shape: torch.Size, device: torch.device) -> Reading | None:
        """How what neurons see of a tensor lies in it; None where kernels cannot tell."""
        if shape not in self.readings:
            found = None
            if shape.numel() < MOST_PLACES and (self.plain or len(shape) == len(self.order)):
                found = self._found(target, shape, device)
            self.readings[shape] = found
        return self.readings[shape]

    def _found(self, target: Target, shape: torch.Size, device: torch.device) -> Reading | None:
        rank, order = len(shape), self.order_of(len(shape))
        if target.windowed is not None:
            windows = target.windowed.windows
            axes = list(range(rank - len(windows.geometries), rank))
            places = windows.places([shape[axis] for axis in axes], device)
        else:
            assert target.folded is not None
            axes = sorted((axis + rank for axis in target.folded.axes), key=order.index)
            members = prod(shape[axis] for axis in axes)
            places = torch.arange(members, dtype=torch.int32, device=device)[:, None]
        first, last = order.index(axes[0]), order.index(axes[-1])
        if order[first : last + 1] != tuple(axes) or places.shape[0] > MOST_MEMBERS:
            return None
        inside, run = (prod(shape[i] for i in some) for some in (axes, order[last + 1 :]))
        return Reading(places, inside, run)

    def row(self, axes: Sequence[int]) -> Row | None:
        """The walk through rows over `axes`, counted from the last; None where kernels cannot."""
        rank = len(self.order)
        found = {axis + rank for axis in axes}
        if set(self.order[rank - len(axes) :]) != found:
            return None
        return Row.of(prod(self.shape[axis] for axis in found))


def layout_of(parameters: Parameters, shape: torch.Size, row: Sequence[int] = ()) -> Layout | None:
    """The layout of a site of this shape; None where its parameters would take too much room.

    row: axes, counted from the last, that are to lie together, if any.
    """
    channels = parameters.step_sizes.shape[1:]
    by_channel = len(shape) == 4 and len(channels) == 3 and channels[1:] == (1, 1)
    if row and {axis + 4 for axis in row} != set(CHANNELS_LAST[4 - len(row) :]):
        by_channel = False
    order = CHANNELS_LAST if by_channel else tuple(range(len(shape)))
    sizes = _spread(parameters.step_sizes, shape, order)
    bounds = _spread(parameters.thresholds, shape, order)
    if sizes is None or bounds is None:
        return None
    return Layout(shape, order, sizes[1], sizes[0], bounds[0])


def _spread(
    over_time: Tensor, shape: torch.Size, order: Sequence[int]
) -> tuple[Tensor, int] | None:
    """Parameters [T, *broadcastable to `shape`] as memory has them, and their period."""
    steps, inner = over_time.shape[0], over_time.shape[1:]
    full = over_time.reshape(steps, *(1,) * (len(shape) - len(inner)), *inner)
    varying = [place for place, i in enumerate(order) if full.shape[i + 1] > 1]
    tail = order[varying[0] :] if varying else order[len(order) :]
    period = prod(shape[i] for i in tail)
    if steps * period > MOST_PARAMETERS:
        return None
    ordered = full.permute(0, *(i + 1 for i in order))
    whole = ordered.expand(steps, *(1,) * (len(order) - len(tail)), *(shape[i] for i in tail))
    return whole.reshape(steps, period).repeat(1, _repeats(period)).contiguous(), period


def _repeats(period: int) -> int:
    """How often parameters are repeated, so that vectors and loops are full."""
    filling = WIDEST // gcd(period, WIDEST)
    long_enough = -(-LEAST_PERIOD // (filling * period)) * filling
    return long_enough if long_enough * period <= CHUNK else max(1, CHUNK // period)
