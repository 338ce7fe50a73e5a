"""Firing with a gradient: the same spikes, and a slope where the sign function has none.

Forward, a step is exactly that of `ops.dynamics`. Backward, the increment counts as the
straight line -u through the jump, u = v(t-1) - f(x(t)) - theta(t), for |u| < eta, and as
constant beyond: in reach of one step, the estimate follows its target one to one. Wider or
narrower boxes train worse (docs/accuracy.md). What flows back to the target is damped, since
every site on the way back through a deep network adds a slope that is a guess. Spikes come
out as numbers, so that their count has a gradient too: that of their mean over errors spread
evenly through the box.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from onnx2snn.ops.dynamics import ALPHABETS, Fire, Firing

DAMPING = 0.8
# d(increment)/d(eta) is -sigma, and for ternary spikes what the dead zone's edge adds: neurons
# at |u| = eta / 2 fall silent as eta grows, smoothed over the same box.
_EDGE = {"binary": 0.0, "ternary": 0.5}


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, estimate: Tensor, target: Tensor, step_size: Tensor, alphabet: str
    ) -> tuple[Tensor, ...]:
        spikes, increment = ALPHABETS[alphabet](estimate, target, step_size)
        ctx.save_for_backward((estimate - target) / step_size, increment, step_size)
        ctx.alphabet = alphabet
        ctx.set_materialize_grads(False)
        return spikes.to(increment), increment

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        excess, increment, step_size = ctx.saved_tensors
        to_spikes, to_increment = gradients
        to_excess, to_step = torch.zeros_like(excess), torch.zeros_like(step_size)
        if to_increment is not None:
            to_excess = -_inside(to_increment, excess)
            slope = to_increment * increment / step_size
            if _EDGE[ctx.alphabet]:
                slope += _EDGE[ctx.alphabet] * _inside(to_increment * excess.sign(), excess)
            to_step = slope.sum_to_size(step_size.shape)
        if to_spikes is not None:
            count = 0.5 * _inside(to_spikes, excess) / step_size
            if ctx.alphabet == "ternary":
                to_excess = to_excess + 2 * count * excess.sign()
                to_step = to_step - count.sum_to_size(step_size.shape)
            else:
                to_excess = to_excess + count
        return to_excess, -DAMPING * to_excess, to_step, None


def _inside(gradient: Tensor, excess: Tensor) -> Tensor:
    """The gradient where |u| < eta, 0 elsewhere; `excess` is u / eta."""
    kept: Tensor = torch.ops.aten.hardtanh_backward(gradient, excess, -1.0, 1.0)
    return kept


def _differentiable(alphabet: str) -> Fire:
    def fire(estimate: Tensor, target: Tensor, step_size: Tensor) -> Firing:
        spikes, increment = _Step.apply(  # type: ignore[no-untyped-call]
            estimate, target, step_size, alphabet
        )
        return Firing(spikes, increment)

    return fire


DIFFERENTIABLE: dict[str, Fire] = {name: _differentiable(name) for name in ALPHABETS}
