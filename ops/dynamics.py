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

# Below, copysign stands for a choice between eta and -eta: torch.where is ten times slower.
# Adding 0 turns a difference of -0 into +0, which counts as v >= f.


def fire_binary(estimate: Tensor, target: Tensor, step_size: Tensor) -> Firing:
    """Spike s = 1 where v >= f, else 0; dv = -eta * (2s - 1)."""
    error = (estimate - target).add_(0.0)
    return Firing(estimate >= target, torch.copysign(step_size, error).neg_())


def fire_ternary(estimate: Tensor, target: Tensor, step_size: Tensor) -> Firing:
    """Spike sigma = sign(v - f) where |v - f| > eta / 2, else 0; dv = -eta * sigma."""
    error = estimate - target
    spikes = error.abs() > 0.5 * step_size
    return Firing(spikes, torch.copysign(step_size, error).mul_(spikes).neg_())


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
    steps = []
    # unbind, since the gradient of indexing one step writes zeros for all of them.
    inputs = zip(*(x.unbind() for x in currents), strict=True)
    for x, step_size, threshold in zip(
        inputs, step_sizes.unbind(), thresholds.unbind(), strict=True
    ):
        firing = fire(estimate, target(*x) + threshold, step_size)
        estimate = estimate + firing.increment
        steps.append(firing)
    return collected(estimate, steps)


def collected(estimate: Tensor, steps: Sequence[Firing]) -> Block:
    """The block of consecutive steps that end at `estimate`."""
    if len(steps) == 1:
        spikes, increment = steps[0]
        return Block(estimate, increment.unsqueeze(0), spikes.unsqueeze(0))
    return Block(
        estimate,
        torch.stack([step.increment for step in steps]),
        torch.stack([step.spikes for step in steps]),
    )
