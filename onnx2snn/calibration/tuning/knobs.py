"""What tuning may turn: parameters of one site in a form that gradient descent moves well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from onnx2snn.calibration.walk import SiteParameters
from onnx2snn.runtime.state import Parameters

# In place of the zeros outside of a window, where a quotient is needed.
SMALLEST_STEP = 1e-30
# Learning rates relative to that of gains shared by a time step or by a channel: what is
# estimated from fewer neurons moves less.
FINE = 0.3


@dataclass(frozen=True)
class Knobs:
    """Trainable tensors of one site.

    eta(t, c) = start * exp(by_time(t) + by_channel(c) + single(t, c)) within the window, 0
    outside; theta(t, n) = eta(t, c) * (thresholds(t, c) + offsets(n)) for neuron n of channel c,
    so that thresholds matter less as steps shrink; initial estimates count in units of the
    site's standard deviation.
    """

    start: Tensor
    unit: float
    by_time: Tensor
    by_channel: Tensor
    single: Tensor
    thresholds: Tensor
    offsets: Tensor
    initial: Tensor
    window: tuple[int, int]

    @staticmethod
    def of(chosen: SiteParameters, unit: float, neurons: Sequence[int] = ()) -> Knobs:
        """Knobs that start at the parameters `chosen`.

        neurons: shape of the neurons with offsets of their own; () for none.
        """
        known = Parameters.of(*(tensor.clone() for tensor in vars(chosen).values()))
        steps = known.step_sizes
        start = steps.clamp_min(SMALLEST_STEP) * (steps > 0)
        thresholds = _aligned(known.thresholds, steps.dim() - 1)
        return Knobs(
            start=start,
            unit=unit,
            by_time=_zeros(steps[(slice(None), *(slice(0, 1),) * (steps.dim() - 1))]),
            by_channel=_zeros(steps[:1]),
            single=_zeros(steps),
            thresholds=(thresholds / start.clamp_min(SMALLEST_STEP)).clone().requires_grad_(),
            offsets=torch.zeros(tuple(neurons)).requires_grad_(bool(neurons)),
            initial=(known.initial / unit).clone().requires_grad_(),
            window=known.window,
        )

    def groups(self, rate: float) -> list[dict[str, object]]:
        """Parameter groups for an optimiser with learning rate `rate`."""
        fine = [self.single, self.initial, *([self.offsets] if self.offsets.requires_grad else [])]
        return [
            {"params": [self.by_time, self.by_channel, self.thresholds], "lr": rate},
            {"params": fine, "lr": FINE * rate},
        ]

    def parameters(self) -> Parameters:
        """The site's parameters, as functions of the trainable tensors."""
        steps = self.start * (self.by_time + self.by_channel + self.single).exp()
        thresholds = steps * self.thresholds
        if self.offsets.requires_grad:
            per_neuron = _aligned(steps, self.offsets.dim()) * self.offsets
            thresholds = _aligned(thresholds, self.offsets.dim()) + per_neuron
        return Parameters(self.unit * self.initial, steps, thresholds, self.window)

    def chosen(self) -> SiteParameters:
        """The site's parameters as they stand, for the file."""
        now = self.parameters()
        return SiteParameters(
            scale=torch.ones(()),
            initial=now.initial.detach(),
            step_sizes=now.step_sizes.detach(),
            thresholds=now.thresholds.detach(),
        )


def _aligned(over_time: Tensor, rank: int) -> Tensor:
    """A tensor [T, *shape] with axes put in after time, so that `rank` of them follow it."""
    missing = (1,) * (rank - over_time.dim() + 1)
    return over_time.reshape(len(over_time), *missing, *over_time.shape[1:])


def _zeros(like: Tensor) -> Tensor:
    return torch.zeros_like(like).requires_grad_()
