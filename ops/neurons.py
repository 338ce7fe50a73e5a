"""Neurons other than those of `ops.dynamics`, in the same terms: x(t) = A(v(t)), v sends dv(t).

Predicate:  the signGD neuron of the paper's own code, which fires by a rule of its own at ties.
Integrate:  integrate-and-fire with rate coding (IF), and its leaky form with exponentially
            weighted coding (LIF); see `scan_integrating`.
Current:    the paper's input: an analog current that decays towards the input.
Poisson:    random input spikes whose mean is the input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from onnx2snn.ops.dynamics import Block, Firing, Recorder
from onnx2snn.ops.target import Target

# PyTorch's generator on the CPU reads 32 bits of a seed.
_STRIDE = 1_000_003


class Drive(NamedTuple):
    """What drives a site over K time steps.

    currents:   x_i(t), one tensor [K, *operand] per operand.
    step_sizes: scale * eta(t), shape [K, *broadcastable to the site].
    thresholds: scale * theta(t), likewise.
    rates:      eta(t) alone, for these K steps and all before them.
    start:      time steps before these.
    seed:       of random spikes.
    """

    currents: Sequence[Tensor]
    step_sizes: Tensor
    thresholds: Tensor
    rates: Tensor
    start: int = 0
    seed: int = 0

    @property
    def now(self) -> Tensor:
        """eta(t) of these steps."""
        return self.rates[self.start :]

    def kept(self) -> tuple[Tensor, ...]:
        """eta(t) / eta(t-1), 0 at the first step of all, step by step."""
        return shares_kept(self.rates)[self.start :].unbind()

    def steps(self) -> Iterator[tuple[tuple[Tensor, ...], Tensor, Tensor, Tensor]]:
        """Currents, step size, threshold and rate, step by step."""
        currents = zip(*(x.unbind() for x in self.currents), strict=True)
        schedule = (self.step_sizes, self.thresholds, self.now)
        yield from zip(currents, *(course.unbind() for course in schedule), strict=True)


def shares_kept(rates: Tensor) -> Tensor:
    """eta(t) / eta(t-1) for all t from the first on, where it is 0."""
    before = torch.cat([torch.full_like(rates[:1], torch.inf), rates[:-1]])
    return rates / before


Scan = Callable[[Tensor, Drive, Target], Block]


def scan_predicate(estimate: Tensor, drive: Drive, target: Target) -> Block:
    """Binary signGD: s(t) = fires(v(t-1) - theta(t), x(t)), dv(t) = -eta(t) * (2 s(t) - 1)."""
    assert target.fires is not None
    record = Recorder(drive.step_sizes.shape[0])
    for x, step_size, threshold, _ in drive.steps():
        spikes = target.fires.function(estimate - threshold, *x)
        firing = Firing(spikes, step_size * (1.0 - 2.0 * spikes.to(step_size)))
        estimate = estimate + firing.increment
        record.add(firing)
    return record.ended(estimate)


def scan_integrating(estimate: Tensor, drive: Drive, target: Target) -> Block:
    """Integrate-and-fire with reset by subtraction, leaky or not (METHOD section 6).

    With e = 1 / tau, input current I(t) and weight Theta of a spike, the membrane w rests at its
    threshold H = e Theta / (1 - e), starts at h H, and

        w(t) = (1 - e) w(t-1) + e (H + I(t))        leak and charge
        s(t) = 1 where w(t) >= H; then w(t) falls by H

    IF is the limit e -> 0 of w / e: w(t) = w(t-1) + I(t), threshold and reset Theta. Weighted
    means, weights (1-e)^(t-r) that add up to c(t) / e, c(t) = 1 - (1-e)^t, are the estimate v of
    Theta s and the input x of I. With eta(t) = e / c(t), which is 1 / t for IF,

        v(t) = v(t-1) + eta(t) (Theta s(t) - v(t-1)),  x(t) likewise

    and w(t) - H = (1-e)^t (h - 1) H + c(t) x(t) - c(t-1) v(t-1), so that over c(t) the rule is

        s(t) = 1 where x(t) - kept(t) v(t-1) >= theta(t)
        kept(t) = c(t-1) / c(t) = eta(t) / eta(t-1),  theta(t) = (1-h) (1-e)^(t-1) eta(t) Theta

    eta(1) = 1, so v(0) is forgotten. `drive` holds step sizes eta Theta and thresholds theta.
    """
    record = Recorder(drive.step_sizes.shape[0])
    for kept, ((x,), step_size, threshold, rate) in zip(drive.kept(), drive.steps(), strict=True):
        spikes = x - kept * estimate >= threshold
        increment = step_size * spikes.to(step_size) - rate * estimate
        estimate = estimate + increment
        record.add(Firing(spikes, increment))
    return record.ended(estimate)


def scan_current(estimate: Tensor, drive: Drive, target: Target) -> Block:
    """An analog current: v(t) = v(t-1) - eta(t) * (v(t-1) - x); no spikes."""
    record = Recorder(drive.step_sizes.shape[0])
    for (x,), step_size, _, _ in drive.steps():
        increment = step_size * (x - estimate)
        estimate = estimate + increment
        record.add(Firing(torch.zeros_like(increment, dtype=torch.bool), increment))
    return record.ended(estimate)


def scan_poisson(estimate: Tensor, drive: Drive, target: Target) -> Block:
    """Random spikes: P(s(t) = 1) = |x| / Theta, sent with the sign of x, estimated as by LIF.

    `drive` holds step sizes eta Theta. Random numbers depend on seed, time and place alone.
    """
    record = Recorder(drive.step_sizes.shape[0])
    for t, ((x,), step_size, _, rate) in enumerate(drive.steps(), start=drive.start):
        generator = torch.Generator().manual_seed((drive.seed * _STRIDE + t) % 2**32)
        drawn = torch.rand(x.shape, generator=generator, dtype=torch.float64).to(x.device)
        spikes = drawn * step_size < x.abs() * rate
        increment = step_size * spikes.to(step_size) * x.sign() - rate * estimate
        estimate = estimate + increment
        record.add(Firing(spikes, increment))
    return record.ended(estimate)


SCANS: Mapping[str, Scan] = {
    "predicate": scan_predicate,
    "integrate": scan_integrating,
    "current": scan_current,
    "poisson": scan_poisson,
}
