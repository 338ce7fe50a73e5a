"""Firing with a gradient: the same spikes, and a slope where the sign function has none.

Forward, a step is exactly that of `ops.dynamics`. Backward, the increment counts as the
straight line -u through the jump, u = v(t-1) - f(x(t)) - theta(t), for |u| < eta, and as
constant beyond: in reach of one step, the estimate follows its target one to one. Wider or
narrower boxes train worse (docs/accuracy.md).
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
        ctx.save_for_backward(inside, (2 * slope).to(torch.int8))
        ctx.shape = step_size.shape
        ctx.mark_non_differentiable(spikes)
        return spikes, increment

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inside, slope = ctx.saved_tensors
        gradient = gradients[1]
        to_step = (0.5 * slope * gradient).sum_to_size(ctx.shape)
        return torch.where(inside, -gradient, 0.0), to_step, None


def _differentiable(alphabet: str) -> Fire:
    def fire(estimate: Tensor, target: Tensor, step_size: Tensor) -> Firing:
        spikes, increment = _Step.apply(  # type: ignore[no-untyped-call]
            estimate - target, step_size, alphabet
        )
        return Firing(spikes, increment)

    return fire


DIFFERENTIABLE: dict[str, Fire] = {name: _differentiable(name) for name in ALPHABETS}
