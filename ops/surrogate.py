"""Scans with a gradient: the same spikes, and a slope where the sign function has none.

Forward, a step is exactly that of `ops.dynamics`. Backward, the increment counts as the
straight line -u through the jump, u = v(t-1) - f(x(t)) - theta(t), for |u| < eta, and as
constant beyond: in reach of one step, the estimate follows its target one to one. Wider or
narrower boxes train worse (docs/accuracy.md). What flows back to the target is damped, since
every site on the way back through a deep network adds a slope that is a guess. Spikes come
out as numbers, so that their count has a gradient too: that of their mean over errors spread
evenly through the box.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from onnx2snn.ops.dynamics import Block, Fire, Recorder, fire_ternary
from onnx2snn.ops.target import Target

DAMPING = 0.8
# d(increment)/d(eta) is -sigma, and for ternary spikes what the dead zone's edge adds: neurons
# at |u| = eta / 2 fall silent as eta grows, smoothed over the same box.
_EDGE = 0.5


class _Scan(torch.autograd.Function):
    """All steps at once: one node of the graph in place of several for every step."""

    @staticmethod
    def forward(
        ctx: Any, estimate: Tensor, targets: Tensor, step_sizes: Tensor, fire: Fire
    ) -> tuple[Tensor, ...]:
        record = Recorder(targets.shape[0])
        excess = torch.empty_like(targets)
        for target, step_size, u in zip(targets, step_sizes, excess, strict=True):
            torch.sub(estimate, target, out=u)
            firing = fire(estimate, target, step_size)
            estimate = estimate + firing.increment
            record.add(firing)
        _, increments, spikes = record.ended(estimate)
        ctx.save_for_backward(excess.div_(step_sizes), increments, step_sizes)
        ctx.ternary = fire is fire_ternary
        ctx.set_materialize_grads(False)
        return estimate, increments, spikes.to(increments)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        excess, increments, step_sizes = ctx.saved_tensors
        to_estimate, to_increments, to_spikes = gradients
        to_excess = torch.zeros_like(excess)
        if to_spikes is not None:
            count = _inside(to_spikes, excess).mul_(0.5).div_(step_sizes)
            to_excess += 2 * count * excess.sign() if ctx.ternary else count
        arriving = torch.zeros_like(excess) if to_increments is None else to_increments.clone()
        carried = torch.zeros_like(excess[0]) if to_estimate is None else to_estimate
        for t in reversed(range(len(excess))):
            arriving[t] += carried
            to_excess[t] -= _inside(arriving[t], excess[t])
            carried = carried + to_excess[t]
        slope = (arriving * increments).div_(step_sizes)
        if ctx.ternary:
            slope += _EDGE * _inside(arriving * excess.sign(), excess)
            slope -= 0 if to_spikes is None else count
        return carried, -DAMPING * to_excess, slope.sum_to_size(step_sizes.shape), None


def _inside(gradient: Tensor, excess: Tensor) -> Tensor:
    """The gradient where |u| < eta, 0 elsewhere; `excess` is u / eta."""
    kept: Tensor = torch.ops.aten.hardtanh_backward(gradient, excess, -1.0, 1.0)
    return kept


def scan_differentiable(
    estimate: Tensor,
    currents: Sequence[Tensor],
    step_sizes: Tensor,
    thresholds: Tensor,
    target: Target,
    fire: Fire,
) -> Block:
    """`ops.dynamics.scan` with gradients; spikes are numbers."""
    # unbind, since the gradient of indexing one step writes zeros for all of them.
    inputs = zip(*(x.unbind() for x in currents), strict=True)
    targets = torch.stack(
        [target(*x) + theta for x, theta in zip(inputs, thresholds.unbind(), strict=True)]
    )
    aligned = step_sizes.reshape(
        len(targets), *(1,) * (targets.dim() - step_sizes.dim()), *step_sizes.shape[1:]
    )
    start = estimate.expand(targets.shape[1:])
    return Block(*_Scan.apply(start, targets, aligned, fire))  # type: ignore[no-untyped-call]
