"""What a schedule sees of a site: target trajectories, channel by channel."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from onnx2snn.calibration.moments import Moments

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
SMALLEST_STEP = 1e-8
# Of a site's largest value, and if that is zero.
SMALLEST_SHARE, TINY = 1e-6, 1e-30
# How much further than the walked samples all others may be taken to go.
FURTHEST = 10.0


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

    @cached_property
    def smallest_step(self) -> float:
        """A step size that is positive and does not matter, however small the values are."""
        return min(max(SMALLEST_SHARE * float(self.final.abs().amax()), TINY), SMALLEST_STEP)

    def mean(self, values: Tensor) -> Tensor:
        """E[values] per channel, of values [C, M]."""
        return values @ self.weights


def by_channel(
    moving: Iterable[Tensor],
    final: Tensor,
    axis: int | None,
    each_neuron: bool = False,
    seen: Moments | None = None,
) -> Trajectory:
    """Group f(x(t)), t = 1 .. T, and `final`, all [*shape], by channel axis, counted from the last.

    each_neuron: whether the first axis counts samples and the others neurons, whatever the
    model is run on; then every neuron has a mean of its own.
    seen: of f* on more samples than `final` holds; means and extremes are those.

    Of each channel a random part is kept, up to MOST_SAMPLES neurons (drawn with a fixed seed:
    a fixed stride would fall into step with the rows of an image), and its extremes, once as
    they are and once stretched away from its mean. Unseen data go a little further than
    calibration data, and a schedule that just reaches the latter leaves the former behind
    for good; extremes are rare, so they share a small weight. Beyond LONG time steps there
    are steps to spare: the stretch grows with the root of their number, and extremes weigh more.
    """
    if axis is not None and final.numel() < FEWEST_PER_CHANNEL * final.shape[axis]:
        axis = None
    if seen is not None and axis == -final.dim():
        seen = None
    flat = _grouped(final, axis)
    shape = () if axis is None else (flat.shape[0], *(1,) * (-axis - 1))
    centre = (flat if seen is None else _grouped(seen.mean, axis)).mean(1, keepdim=True)
    start = centre.reshape(shape)
    if each_neuron:
        start = neuron_means(Moments.of(final) if seen is None else seen, start)
    means = _grouped(start.expand_as(final), axis)
    drawn = _draw(flat)
    ends = _extremes(flat, max(1, drawn.numel() // EXTREMES))
    chased = [(x[:, drawn], x.gather(1, ends)) for x in (_grouped(x, axis) for x in moving)]
    factor = centre.new_full((1, 1), _headroom(len(chased)))
    if seen is not None:
        factor = factor * _reach(flat, centre, seen, axis).repeat_interleave(ends.shape[1] // 2, 1)

    def chosen(body: Tensor, tail: Tensor) -> Tensor:
        return torch.cat([body, tail, centre + factor * (tail - centre)], 1)

    tail = LONG_TAIL_WEIGHT if len(chased) > LONG else TAIL_WEIGHT
    return Trajectory(
        torch.stack([chosen(*parts) for parts in chased]),
        chosen(flat[:, drawn], flat.gather(1, ends)),
        torch.cat([means[:, drawn], *[means.gather(1, ends)] * 2], 1),
        _weights(drawn.numel(), 2 * ends.shape[1], tail).to(flat),
        shape,
        start,
    )


def neuron_means(seen: Moments, centre: Tensor) -> Tensor:
    """E[f*] of every neuron; `centre` is that of its channel.

    Few samples make single means noisy, so those of a channel shrink towards its own by the
    share of noise in their spread (James & Stein, 1961).
    """
    means = seen.mean
    if seen.count < 2:
        return centre.expand_as(means)
    deviation = means - centre
    noise = (seen.variance / seen.count).expand_as(means)
    wide = [i for i in range(means.dim()) if _size(centre, i - means.dim()) == 1]
    spread = deviation.square().mean(wide, keepdim=True)
    share = noise.mean(wide, keepdim=True) / spread.clamp_min(torch.finfo(spread.dtype).tiny)
    return centre + (1 - share).clamp_min(0) * deviation


def _reach(flat: Tensor, centre: Tensor, seen: Moments, axis: int | None) -> Tensor:
    """How much further from the mean all samples go than those at hand, upwards and downwards.

    Shape [C, 2]. Bounded, since a channel that is all but silent at hand says little of how it
    moves.
    """
    tiny = torch.finfo(flat.dtype).tiny
    here = torch.cat([flat.amax(1, keepdim=True) - centre, centre - flat.amin(1, keepdim=True)], 1)
    highest, lowest = _grouped(seen.highest, axis), _grouped(seen.lowest, axis)
    there = torch.cat(
        [highest.amax(1, keepdim=True) - centre, centre - lowest.amin(1, keepdim=True)], 1
    )
    return (there / here.clamp_min(tiny)).clamp(1.0, FURTHEST)


def _size(tensor: Tensor, axis: int) -> int:
    """Of an axis counted from the last; 1 where the tensor has none."""
    return tensor.shape[axis] if -axis <= tensor.dim() else 1


def _grouped(tensor: Tensor, axis: int | None) -> Tensor:
    """[C, neurons of the channel]."""
    if axis is None:
        return tensor.flatten().unsqueeze(0)
    return tensor.movedim(axis, 0).reshape(tensor.shape[axis], -1)


def _draw(flat: Tensor) -> Tensor:
    channels, neurons = flat.shape
    samples = max(FEWEST_SAMPLES, min(MOST_SAMPLES, NEURONS_PER_SITE // channels))
    if neurons <= samples:
        return torch.arange(neurons, device=flat.device)
    order = torch.randperm(neurons, generator=torch.Generator().manual_seed(0))
    return order[:samples].to(flat.device)


def _extremes(flat: Tensor, count: int) -> Tensor:
    return torch.cat([flat.topk(count, 1, largest=end).indices for end in (True, False)], 1)


def _headroom(time_steps: int) -> float:
    """How far extremes are stretched from the mean."""
    return HEADROOM * math.sqrt(max(1.0, time_steps / LONG))


def _weights(body: int, tail: int, share: float) -> Tensor:
    """Of `body` neurons, and of `tail` extremes that have `share` of the whole."""
    return torch.cat([torch.full((body,), (1 - share) / body), torch.full((tail,), share / tail)])
