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


@dataclass(frozen=True)
class Trajectory:
    """A site's calibration data, its neurons grouped by channel.

    moving: f(x(t)), shape [T, C, M]: what the neurons chase.
    final:  f*, shape [C, M]: the ANN's value, which they should reach.
    shape:  broadcastable shape of a per-channel parameter, e.g. [C, 1, 1].
    """

    moving: Tensor
    final: Tensor
    shape: tuple[int, ...]

    @property
    def time_steps(self) -> int:
        """T."""
        return self.moving.shape[0]


def by_channel(moving: Tensor, final: Tensor, axis: int | None) -> Trajectory:
    """Group `moving` [T, *shape] and `final` [*shape] by channel axis, counted from the last.

    Up to MOST_SAMPLES neurons of a channel are kept, fewer where channels are many.
    """
    shape: tuple[int, ...] = ()
    if axis is None:
        grouped, flat, shape = moving.flatten(1).unsqueeze(1), final.reshape(1, -1), ()
    else:
        grouped = moving.movedim(axis, 1).flatten(2)
        flat = final.movedim(axis, 0).flatten(1)
        shape = (flat.shape[0], *(1,) * (-axis - 1))
    picked = _pick(flat)
    kept = grouped.gather(2, picked.expand(grouped.shape[0], *picked.shape))
    return Trajectory(*_with_headroom(kept, flat.gather(1, picked)), shape)


def _with_headroom(moving: Tensor, final: Tensor) -> tuple[Tensor, Tensor]:
    """Add copies of the channel's extremes, stretched away from its mean.

    Unseen data go a little further than calibration data; a schedule that just reaches the
    latter leaves the former behind for good.
    """
    count = max(1, final.shape[1] // EXTREMES)
    centre = final.mean(1, keepdim=True)
    ends = torch.cat([final.topk(count, 1, largest=end).indices for end in (True, False)], 1)
    far = centre + HEADROOM * (final.gather(1, ends) - centre)
    path = moving.gather(2, ends.expand(moving.shape[0], *ends.shape))
    return (
        torch.cat([moving, centre + HEADROOM * (path - centre)], 2),
        torch.cat([final, far], 1),
    )


def _pick(final: Tensor) -> Tensor:
    """Positions [C, M] of the neurons kept, of `final` [C, all].

    Drawn at random with a fixed seed (a fixed stride would fall into step with the rows of
    an image), and the channel's extremes, which a schedule must be able to reach.
    """
    channels, neurons = final.shape
    samples = max(FEWEST_SAMPLES, min(MOST_SAMPLES, NEURONS_PER_SITE // channels))
    if neurons <= samples:
        return torch.arange(neurons, device=final.device).expand(channels, neurons)
    extremes = samples // EXTREMES
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randperm(neurons, generator=generator)[: samples - 2 * extremes]
    highest, lowest = (final.topk(extremes, 1, largest=end).indices for end in (True, False))
    return torch.cat([drawn.to(final.device).expand(channels, -1), highest, lowest], 1)
