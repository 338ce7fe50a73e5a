"""What a schedule sees of a site: target trajectories, channel by channel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_SAMPLES = 1024
FEWEST_SAMPLES = 256
NEURONS_PER_SITE = 1 << 17
# Values a channel must have for a schedule of its own; with fewer, all channels share one.
FEWEST_PER_CHANNEL = 16
EXTREMES = 64
HEADROOM = 1.3
TAIL_WEIGHT = 0.01
# Beyond so many steps reach costs little precision, and what is out of reach is the error.
LONG = 32
LONG_TAIL_WEIGHT = 0.1


@dataclass(frozen=True)
class Trajectory:
    """A site's calibration data, its neurons grouped by channel.

    moving:  f(x(t)), shape [T, C, M]: what the neurons chase.
    final:   f*, shape [C, M]: the ANN's value, which they should reach.
    means:   E[f*] over calibration samples, shape [C, M], of each neuron or of its channel.
    weights: of the M neurons in every mean, shape [M], sum 1.
    shape:   broadcastable shape of a per-channel parameter, e.g. [C, 1, 1].
    start:   `means` in the shape of the site's initial estimate.
    """

    moving: Tensor
    final: Tensor
    means: Tensor
    weights: Tensor
    shape: tuple[int, ...]
    start: Tensor

    @property
    def time_steps(self) -> int:
        """T."""
        return self.moving.shape[0]

    def mean(self, values: Tensor) -> Tensor:
        """E[values] per channel, of values [C, M]."""
        return values @ self.weights


def by_channel(
    moving: Tensor, final: Tensor, axis: int | None, each_neuron: bool = False
) -> Trajectory:
    """Group `moving` [T, *shape] and `final` [*shape] by channel axis, counted from the last.

    each_neuron: whether the first axis counts samples and the others neurons, whatever the
    model is run on; then every neuron has a mean of its own.

    Of each channel a random part is kept, up to MOST_SAMPLES neurons (drawn with a fixed seed:
    a fixed stride would fall into step with the rows of an image), and its extremes, once as
    they are and once stretched away from its mean. Unseen data go a little further than
    calibration data, and a schedule that just reaches the latter leaves the former behind
    for good; extremes are rare, so they share a small weight. Beyond LONG time steps there
    are steps to spare: the stretch grows with the root of their number, and extremes weigh more.
    """
    if axis is not None and final.numel() < FEWEST_PER_CHANNEL * final.shape[axis]:
        axis = None
    grouped, flat = _grouped(moving, axis, 1), _grouped(final, axis, 0)
    shape = () if axis is None else (flat.shape[0], *(1,) * (-axis - 1))
    start = flat.mean(1).reshape(shape)
    if each_neuron:
        start = neuron_means(final, start)
    means = _grouped(start.expand_as(final), axis, 0)
    drawn = _draw(flat)
    ends = _extremes(flat, max(1, drawn.numel() // EXTREMES))
    ends_moving = grouped.gather(2, ends.expand(grouped.shape[0], *ends.shape))
    ends_final = flat.gather(1, ends)
    centre, factor = flat.mean(1, keepdim=True), _headroom(moving.shape[0])
    tail = LONG_TAIL_WEIGHT if moving.shape[0] > LONG else TAIL_WEIGHT
    return Trajectory(
        torch.cat([grouped[:, :, drawn], ends_moving, _stretched(ends_moving, centre, factor)], 2),
        torch.cat([flat[:, drawn], ends_final, _stretched(ends_final, centre, factor)], 1),
        torch.cat([means[:, drawn], *[means.gather(1, ends)] * 2], 1),
        _weights(drawn.numel(), 2 * ends.shape[1], tail).to(flat),
        shape,
        start,
    )


def neuron_means(final: Tensor, centre: Tensor) -> Tensor:
    """E[f*] of every neuron, of `final` [samples, *neurons]; `centre` is that of its channel.

    Few samples make single means noisy, so those of a channel shrink towards its own by the
    share of noise in their spread (James & Stein, 1961).
    """
    means = final.mean(0)
    if final.shape[0] < 2:
        return centre.expand_as(means)
    deviation = means - centre
    noise = (final.var(0) / final.shape[0]).expand_as(means)
    wide = [i for i in range(means.dim()) if _size(centre, i - means.dim()) == 1]
    spread = deviation.square().mean(wide, keepdim=True)
    share = noise.mean(wide, keepdim=True) / spread.clamp_min(torch.finfo(spread.dtype).tiny)
    return centre + (1 - share).clamp_min(0) * deviation


def _size(tensor: Tensor, axis: int) -> int:
    """Of an axis counted from the last; 1 where the tensor has none."""
    return tensor.shape[axis] if -axis <= tensor.dim() else 1


def _grouped(tensor: Tensor, axis: int | None, place: int) -> Tensor:
    """Channels at axis `place`, all that follows flattened."""
    if axis is None:
        return tensor.flatten(place).unsqueeze(place)
    return tensor.movedim(axis, place).flatten(place + 1)


def _draw(flat: Tensor) -> Tensor:
    channels, neurons = flat.shape
    samples = max(FEWEST_SAMPLES, min(MOST_SAMPLES, NEURONS_PER_SITE // channels))
    if neurons <= samples:
        return torch.arange(neurons, device=flat.device)
    order = torch.randperm(neurons, generator=torch.Generator().manual_seed(0))
    return order[:samples].to(flat.device)


def _extremes(flat: Tensor, count: int) -> Tensor:
    return torch.cat([flat.topk(count, 1, largest=end).indices for end in (True, False)], 1)


def _stretched(values: Tensor, centre: Tensor, factor: float) -> Tensor:
    return centre + factor * (values - centre)


def _headroom(time_steps: int) -> float:
    """How far extremes are stretched from the mean."""
    return HEADROOM * math.sqrt(max(1.0, time_steps / LONG))


def _weights(body: int, tail: int, share: float) -> Tensor:
    """Of `body` neurons, and of `tail` extremes that have `share` of the whole."""
    return torch.cat([torch.full((body,), (1 - share) / body), torch.full((tail,), share / tail)])
