"""What changes while a plan runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class State:
    """State of one simulation; a new one for every batch.

    values:   current value of the tensors a plan keeps: constants over time, input currents
              x(t) and estimates v(t).
    operands: per linear step, its operands with the constant summands removed and the
              varying ones left open.
    transparent: linear steps that pass increments on unchanged.
    macs:     per weighted step, multiply-accumulates of one application.
    spikes:   per site, spikes so far.
    neurons:  per site, number of neurons, batch included.
    time:     steps done.
    """

    values: dict[str, Tensor] = field(default_factory=dict)
    operands: dict[int, list[Tensor | None]] = field(default_factory=dict)
    transparent: set[int] = field(default_factory=set)
    macs: dict[int, int] = field(default_factory=dict)
    spikes: dict[str, Tensor] = field(default_factory=dict)
    neurons: dict[str, int] = field(default_factory=dict)
    varying_bytes: int = 0
    time: int = 0


@dataclass(frozen=True)
class Parameters:
    """Scale, initial estimate and step sizes of one site, ready to broadcast.

    initial:    v(0), broadcastable to the site.
    step_sizes: scale * eta(t), shape [T, *broadcastable to the site].
    """

    initial: Tensor
    step_sizes: Tensor

    @staticmethod
    def of(scale: Tensor, initial: Tensor, step_sizes: Tensor) -> Parameters:
        """Parameters from the tensors of the file: step_sizes has shape [T] or [T, *scale]."""
        rank = max(scale.dim(), step_sizes.dim() - 1)
        shape = (step_sizes.shape[0], *(1,) * (rank - step_sizes.dim() + 1), *step_sizes.shape[1:])
        return Parameters(initial, (scale * step_sizes.reshape(shape)).contiguous())

    @property
    def time_steps(self) -> int:
        """T, the number of steps the schedule holds."""
        return self.step_sizes.shape[0]
