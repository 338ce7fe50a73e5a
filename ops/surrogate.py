"""Firing with a gradient: the same spikes, and a slope where the sign function has none.

Forward, a step is exactly that of `ops.dynamics`. Backward, the increment counts as the
straight line -u through the jump, u = v(t-1) - f(x(t)) - theta(t), for |u| < eta, and as
constant beyond: in reach of one step, the estimate follows its target one to one. Wider or
narrower boxes train worse (docs/accuracy.md). Spikes come out as numbers, so that their count
has a gradient too: that of their mean over errors spread evenly through the box.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from onnx2snn.ops.dynamics import ALPHABETS, Fire, Firing

# d(increment)/d(eta) is -sigma, and for ternary spikes what the dead zone's edge adds: neurons
# at |u| = eta / 2 fall silent as eta grows, smoothed over the same box.
_EDGE = {"binary": 0.0, "ternary": 0.5}


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, excess: Tensor, step_size: Tensor, alphabet: str) -> tuple[Tensor, ...]:
        spikes, increment = ALPHABETS[alphabet](excess, torch.zeros_like(excess), step_size)
        inside = excess.abs() < step_size
        slope = increment.sign() + _EDGE[alphabet] * excess.sign() * inside
        ctx.save_for_backward(inside, (2 * slope).to(torch.int8), excess < 0, step_size)
        ctx.alphabet = alphabet
        return spikes.to(increment), increment

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inside, slope, negative, step_size = ctx.saved_tensors
        to_spikes, to_increment = gradients
        count = torch.where(inside, 0.5 * to_spikes / step_size, 0.0)
        to_excess = torch.where(inside, -to_increment, 0.0)
        to_step = 0.5 * slope * to_increment
        if ctx.alphabet == "ternary":
            to_excess = to_excess + torch.where(negative, -2 * count, 2 * count)
            to_step = to_step - count
        else:
            to_excess = to_excess + count
        return to_excess, to_step.sum_to_size(step_size.shape), None


def _differentiable(alphabet: str) -> Fire:
    def fire(estimate: Tensor, target: Tensor, step_size: Tensor) -> Firing:
        spikes, increment = _Step.apply(  # type: ignore[no-untyped-call]
            estimate - target, step_size, alphabet
        )
        return Firing(spikes, increment)

    return fire


DIFFERENTIABLE: dict[str, Fire] = {name: _differentiable(name) for name in ALPHABETS}
