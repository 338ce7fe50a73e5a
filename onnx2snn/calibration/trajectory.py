"""What a schedule sees of a site: target trajectories, channel by channel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

MOST_SAMPLES = 1024
FEWEST_SAMPLES = 256
NEURONS_PER_SITE = 1 << 17
EXTREMES = 64
HEADROOM = 1.3
TAIL_WEIGHT = 0.01


@dataclass(frozen=True)
class Trajectory:
    """A site's calibration data, its neurons grouped by channel.

    moving:  f(x(t)), shape [T, C, M]: what the neurons chase.
    final:   f*, shape [C, M]: the ANN's value, which they should reach.
    weights: of the M neurons in every mean, shape [M], sum 1.
    shape:   broadcastable shape of a per-channel parameter, e.g. [C, 1, 1].
    """

    moving: Tensor
    final: Tensor
    weights: Tensor
    shape: tuple[int, ...]

    @property
    def time_steps(self) -> int:
        """T."""
        return self.moving.shape[0]

    def mean(self, values: Tensor) -> Tensor:
        """E[values] per channel, of values [C, M]."""
        return values @ self.weights


def by_channel(moving: Tensor, final: Tensor, axis: int | None) -> Trajectory:
    """Group `moving` [T, *shape] and `final` [*shape] by channel axis, counted from the last.

    Of each channel a random part is kept, up to MOST_SAMPLES neurons (drawn with a fixed seed:
    a fixed stride would fall into step with the rows of an image), and its extremes, once as
    they are and once stretched away from its mean. Unseen data go a little further than
    calibration data, and a schedule that just reaches the latter leaves the former behind
    for good; extremes are rare, so they share a small weight.
    """
    shape: tuple[int, ...] = ()
    if axis is None:
        grouped, flat = moving.flatten(1).unsqueeze(1), final.reshape(1, -1)
    else:
        grouped, flat = moving.movedim(axis, 1).flatten(2), final.movedim(axis, 0).flatten(1)
        shape = (flat.shape[0], *(1,) * (-axis - 1))
    drawn = _draw(flat)
    ends = _extremes(flat, max(1, drawn.numel() // EXTREMES))
    ends_moving = grouped.gather(2, ends.expand(grouped.shape[0], *ends.shape))
    ends_final = flat.gather(1, ends)
    centre = flat.mean(1, keepdim=True)
    return Trajectory(
        torch.cat([grouped[:, :, drawn], ends_moving, _stretched(ends_moving, centre)], 2),
        torch.cat([flat[:, drawn], ends_final, _stretched(ends_final, centre)], 1),
        _weights(drawn.numel(), 2 * ends.shape[1]).to(flat),
        shape,
    )


def _draw(flat: Tensor) -> Tensor:
    channels, neurons = flat.shape
    samples = max(FEWEST_SAMPLES, min(MOST_SAMPLES, NEURONS_PER_SITE // channels))
    if neurons <= samples:
        return torch.arange(neurons, device=flat.device)
    order = torch.randperm(neurons, generator=torch.Generator().manual_seed(0))
    return order[:samples].to(flat.device)


def _extremes(flat: Tensor, count: int) -> Tensor:
    return torch.cat([flat.topk(count, 1, largest=end).indices for end in (True, False)], 1)


def _stretched(values: Tensor, centre: Tensor) -> Tensor:
    return centre + HEADROOM * (values - centre)


def _weights(body: int, tail: int) -> Tensor:
    return torch.cat(
        [torch.full((body,), (1 - TAIL_WEIGHT) / body), torch.full((tail,), TAIL_WEIGHT / tail)]
    )
