"""What changes while a plan runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from onnx2snn.ops.neurons import Drive
from onnx2snn.runtime.binding import Binding


@dataclass
class State:
    """State of one simulation; a new one for every batch.

    values:   current value of the tensors a plan keeps: constants over time, input currents
              x(t) and estimates v(t).
    bindings: per linear step, its constants and shapes.
    macs:     per weighted step, multiply-accumulates of one application.
    spikes:   per site, spikes so far.
    neurons:  per site, number of neurons, batch included.
    shapes:   of the inputs and of all results.
    owned:    tensors of `values` in storage of their own, which fused kernels overwrite.
    spread:   operands of fused sites that do not change, spread over the site.
    time:     steps done.
    """

    values: dict[str, Tensor] = field(default_factory=dict)
    bindings: dict[int, Binding] = field(default_factory=dict)
    macs: dict[int, int] = field(default_factory=dict)
    spikes: dict[str, Tensor] = field(default_factory=dict)
    neurons: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, torch.Size] = field(default_factory=dict)
    owned: set[str] = field(default_factory=set)
    spread: dict[tuple[object, ...], Tensor] = field(default_factory=dict)
    time: int = 0

    @classmethod
    def of(cls, inputs: Mapping[str, Tensor]) -> State:
        """A state that knows the graph's inputs alone."""
        return cls(dict(inputs), shapes={name: x.shape for name, x in inputs.items()})


@dataclass(frozen=True)
class Parameters:
    """Initial estimate, step sizes and thresholds of one site, ready to broadcast.

    initial:    v(0), broadcastable to the site.
    step_sizes: scale * eta(t), shape [T, *broadcastable to the site].
    thresholds: scale * theta(t), of the same shape.
    window:     steps [start, stop) in which the site fires; outside, its step sizes are 0.
    rates:      eta(t) alone, of the shape of `step_sizes`; None where nobody needs it.
    """

    initial: Tensor
    step_sizes: Tensor
    thresholds: Tensor
    window: tuple[int, int]
    rates: Tensor | None = None

    @staticmethod
    def of(scale: Tensor, initial: Tensor, step_sizes: Tensor, thresholds: Tensor) -> Parameters:
        """Parameters from the tensors of the file; over time, of shape [T] or [T, *scale]."""
        firing = step_sizes.reshape(step_sizes.shape[0], -1).any(1).nonzero().flatten().tolist()
        window = (firing[0], firing[-1] + 1) if firing else (0, 0)
        return Parameters(
            initial,
            _scaled(scale, step_sizes),
            _scaled(scale, thresholds),
            window,
            _scaled(torch.ones((1,) * scale.dim()).to(scale), step_sizes),
        )

    def firing(self, start: int, stop: int) -> slice:
        """The part of the block of steps [start, stop), counted from its start, that fires."""
        first = min(max(self.window[0], start), stop)
        return slice(first - start, max(min(self.window[1], stop), first) - start)

    def drive(self, currents: Sequence[Tensor], steps: slice, seed: int) -> Drive:
        """What neurons other than signGD's receive in these steps."""
        assert self.rates is not None
        schedule = (self.step_sizes[steps], self.thresholds[steps], self.rates[: steps.stop])
        return Drive(currents, *schedule, steps.start, seed)

    @property
    def time_steps(self) -> int:
        """T, the number of steps the schedule holds."""
        return self.step_sizes.shape[0]


def _scaled(scale: Tensor, over_time: Tensor) -> Tensor:
    rank = max(scale.dim(), over_time.dim() - 1)
    shape = (over_time.shape[0], *(1,) * (rank - over_time.dim() + 1), *over_time.shape[1:])
    return (scale * over_time.reshape(shape)).contiguous()
