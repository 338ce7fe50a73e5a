"""What a schedule sees of a site: target trajectories, channel by channel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SAMPLES_PER_CHANNEL = 1024


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

    At most SAMPLES_PER_CHANNEL neurons of a channel are kept, drawn with a fixed seed.
    """
    if axis is None:
        grouped, flat, shape = moving.flatten(1).unsqueeze(1), final.reshape(1, -1), ()
    else:
        grouped = moving.movedim(axis, 1).flatten(2)
        flat = final.movedim(axis, 0).flatten(1)
        shape = (flat.shape[0], *(1,) * (-axis - 1))
    picked = _pick(flat.shape[1], flat.device)
    return Trajectory(grouped[:, :, picked].contiguous(), flat[:, picked].contiguous(), shape)


def _pick(neurons: int, device: torch.device) -> Tensor:
    """Seeded random positions: a fixed stride would fall into step with rows of an image."""
    generator = torch.Generator().manual_seed(0)
    picked = torch.randperm(neurons, generator=generator)[:SAMPLES_PER_CHANNEL]
    return picked.sort().values.to(device)
