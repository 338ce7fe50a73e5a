"""The calibrated schedule: step sizes fitted to a site's trajectory, channel by channel.

Two families compete, and every channel keeps the candidate with the least weighted error
sum_t w(t) E[(v(t) - f*)^2], w(t) = recency^(T-t):

- least squares (METHOD section 4): with e = v(t-1) - f* and sigma = sign(v(t-1) - f(x(t))),
  the step that minimises E[(e - eta * sigma)^2] is eta = E[e * sigma] (E[sigma^2] = 1). It is
  boosted, since later steps can correct an overshoot but not an undershoot, and never falls
  below a floor times the step before, so that outliers stay within reach;
- exponential: eta(t) = eta(1) * decay^(t-1), with eta(1) such that the sum of all steps
  is a multiple of the channel's range. With many steps this one wins: fitted steps follow the
  mean error, and where few neurons are far off that falls like 1/t only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from onnx2snn.calibration.trajectory import LONG, Trajectory
from onnx2snn.ops.dynamics import Fire, at_least

FLOORS = (0.4, 0.5, 0.6, 0.7, 0.8)
BOOSTS = (1.0, 1.3, 1.6)
DECAYS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
# eta(T) / eta(1) beyond LONG time steps.
LAST_STEPS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
REACHES = (0.5, 1.0, 2.0)
RECENCY = 0.5


@dataclass(frozen=True)
class Candidate:
    """Step sizes [T, C], and the mean square error they leave, [T, C].

    centred: share of its mean that every neuron starts at, shape [C]: all of it, or nothing.
    """

    centred: Tensor
    step_sizes: Tensor
    errors: Tensor


def _fit_step(data: Trajectory, estimate: Tensor, error: Tensor, t: int) -> Tensor:
    """E[e * sigma] per channel: the least-squares step size."""
    sigma = at_least(estimate, data.moving[t]).mul_(2).sub_(1)
    return data.mean(sigma.mul_(error))


def least_squares(
    data: Trajectory, fire: Fire, centred: Tensor, floor: float, boost: float
) -> Candidate:
    """Step sizes fitted one after another on the trajectory they produce."""
    estimate = centred.unsqueeze(1) * data.means
    error = estimate - data.final
    previous = torch.full_like(centred, data.smallest_step)
    steps, errors = [], []
    for t in range(data.time_steps):
        fitted = boost * _fit_step(data, estimate, error, t)
        previous = torch.maximum(fitted, floor * previous).clamp_min(data.smallest_step)
        estimate.add_(fire(estimate, data.moving[t], previous.unsqueeze(1)).increment)
        torch.sub(estimate, data.final, out=error)
        steps.append(previous)
        errors.append(data.mean(error.square()))
    return Candidate(centred, torch.stack(steps), torch.stack(errors))


def fixed(data: Trajectory, fire: Fire, centred: Tensor, step_sizes: Tensor) -> Candidate:
    """The errors that given step sizes [T, C] leave."""
    estimate = centred.unsqueeze(1) * data.means
    errors = []
    for t in range(data.time_steps):
        eta = step_sizes[t].unsqueeze(1)
        estimate.add_(fire(estimate, data.moving[t], eta).increment)
        errors.append(data.mean((estimate - data.final).square_()))
    return Candidate(centred, step_sizes, torch.stack(errors))


def _candidates(data: Trajectory, fire: Fire) -> Iterator[Candidate]:
    channels = data.final.new_ones(data.final.shape[0])
    for centred in (channels, torch.zeros_like(channels)):
        for floor in FLOORS:
            for boost in BOOSTS:
                yield least_squares(data, fire, centred, floor, boost)
        furthest = (data.final - centred.unsqueeze(1) * data.means).abs().amax(1)
        extent = furthest.clamp_min(data.smallest_step)
        time = torch.arange(data.time_steps, dtype=data.final.dtype, device=data.final.device)
        for decay in _decays(data.time_steps):
            shape = decay**time
            for reach in REACHES:
                steps = reach * extent * (shape / shape.sum()).unsqueeze(1)
                yield fixed(data, fire, centred, steps)


def _decays(time_steps: int) -> tuple[float, ...]:
    if time_steps <= LONG:
        return DECAYS
    return tuple(last ** (1 / (time_steps - 1)) for last in LAST_STEPS)


def search(data: Trajectory, fire: Fire) -> Candidate:
    """Per channel, the candidate with the least weighted error."""
    weights = RECENCY ** torch.arange(
        data.time_steps - 1, -1, -1, dtype=data.final.dtype, device=data.final.device
    )
    candidates = list(_candidates(data, fire))
    losses = torch.stack([weights @ candidate.errors for candidate in candidates])
    best, channels = losses.argmin(0), torch.arange(losses.shape[1], device=losses.device)
    return Candidate(
        torch.stack([c.centred for c in candidates])[best, channels],
        torch.stack([c.step_sizes for c in candidates])[best, :, channels].T.contiguous(),
        torch.stack([c.errors for c in candidates])[best, :, channels].T.contiguous(),
    )
