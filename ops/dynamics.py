"""The signGD neuron: charge, fire, update (Oh & Lee, ICML 2024, section 4; METHOD section 1).

One *site* is a population of neurons, all approximating one target function f of their
input currents x_1 .. x_k. With step size eta(t) > 0, threshold theta(t) (0 in the paper) and
decoded estimate v:

    charge   x_i(t) = x_i(t-1) + dx_i(t)
    fire     sigma(t) = sign(v(t-1) - f(x(t)) - theta(t))
    update   v(t)   = v(t-1) - eta(t) * sigma(t)

What a site sends downstream is dv(t) = -eta(t) * sigma(t): a spike weighted by a step size
that no input changes. Binary spikes s in {0, 1} code sigma = 2s - 1, ternary ones carry
sigma in {-1, 0, +1}.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from onnx2snn.ops.target import Target


class Firing(NamedTuple):
    """One time step of a site: its spikes and the increment dv(t) of its estimate.

    spikes is boolean, one per neuron: s(t) for binary spikes, |sigma(t)| for ternary ones.
    """

    spikes: Tensor
    increment: Tensor


Fire = Callable[[Tensor, Tensor, Tensor], Firing]

# A comparison that writes numbers and one multiplication take a fifth of the time of torch.where.


def at_least(values: Tensor, bound: Tensor) -> Tensor:
    """1 where values >= bound, else 0, as numbers of the type of `values`."""
    return torch.ge(values, bound, out=values.new_empty(0))


def fire_binary(estimate: Tensor, target: Tensor, step_size: Tensor) -> Firing:
    """Spike s = 1 where v >= f, else 0; dv = -eta * (2s - 1)."""
    fired = at_least(estimate, target)
    spikes = fired.bool()
    return Firing(spikes, fired.mul_(-2).add_(1).mul_(step_size))


def fire_ternary(estimate: Tensor, target: Tensor, step_size: Tensor) -> Firing:
    """Spike sigma = sign(v - f) where |v - f| > eta / 2, else 0; dv = -eta * sigma."""
    error, dead = estimate - target, 0.5 * step_size
    below = torch.lt(error, -dead, out=error.new_empty(0))
    above = torch.gt(error, dead, out=error.new_empty(0))
    minus_sigma = below.sub_(above)
    return Firing(minus_sigma.bool(), minus_sigma.mul_(step_size))


ALPHABETS: dict[str, Fire] = {"binary": fire_binary, "ternary": fire_ternary}


class Block(NamedTuple):
    """What K consecutive time steps of a site produce.

    estimate:   v after the last step, shape of the site.
    increments: dv(t), shape [K, *site].
    spikes:     boolean, shape [K, *site].
    """

    estimate: Tensor
    increments: Tensor
    spikes: Tensor


# (v, x_1 .. x_k, eta, theta, f, fire) -> what the block produces, see `scan`.
Scan = Callable[[Tensor, Sequence[Tensor], Tensor, Tensor, Target, Fire], Block]


def counted(spikes: Tensor) -> Tensor:
    """How many there are; of spikes with a gradient, which are numbers, the sum."""
    # torch's sum of booleans takes ten times as long.
    return spikes.count_nonzero() if spikes.dtype == torch.bool else spikes.sum()


class Recorder:
    """Puts the firings of consecutive steps into a block.

    Each is written to its place at once, so that memory holds one copy of them.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._block: Firing | None = None
        self._filled = 0

    def add(self, firing: Firing) -> None:
        """Append the next step."""
        if self._steps == 1:
            self._block = Firing(*(x.unsqueeze(0) for x in firing))
            return
        if self._block is None:
            self._block = Firing(*(x.new_empty((self._steps, *x.shape)) for x in firing))
        for whole, part in zip(self._block, firing, strict=True):
            whole[self._filled] = part
        self._filled += 1

    def ended(self, estimate: Tensor) -> Block:
        """The block of all steps, which end at `estimate`."""
        assert self._block is not None
        return Block(estimate, self._block.increment, self._block.spikes)


def scan(
    estimate: Tensor,
    currents: Sequence[Tensor],
    step_sizes: Tensor,
    thresholds: Tensor,
    target: Target,
    fire: Fire,
) -> Block:
    """Run K time steps of one site.

    estimate:   v(t0), shape of the site.
    currents:   x_i(t0+1) .. x_i(t0+K), one tensor [K, *operand] per operand.
    step_sizes: eta, shape [K, *broadcastable to the site].
    thresholds: theta, of the same shape or [K].
    """
    record = Recorder(step_sizes.shape[0])
    # unbind, since the gradient of indexing one step writes zeros for all of them.
    inputs = zip(*(x.unbind() for x in currents), strict=True)
    for x, step_size, threshold in zip(
        inputs, step_sizes.unbind(), thresholds.unbind(), strict=True
    ):
        firing = fire(estimate, target(*x) + threshold, step_size)
        estimate = estimate + firing.increment
        record.add(firing)
    return record.ended(estimate)
