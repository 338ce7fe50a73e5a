"""What values further out than those of the calibration data would cost.

A neuron gets no further from its start than the sum of its step sizes, so a value beyond that is
missed however many steps there are. Tuning would shrink steps until they just reach what it
learns from; of other data some lie further out. How far is estimated by peaks over a threshold
(Pickands, 1975): beyond a high quantile u, distances are taken to be exponential,

    P(d > r) = p exp(-(r - u) / s),    E[(d - r)^2; d > r] = 2 s^2 P(d > r),

with p the share of calibration values beyond u and s their mean excess.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from onnx2snn.calibration.task import Task
from onnx2snn.calibration.walk import SiteParameters
from onnx2snn.runtime.state import Parameters

# Values taken to be in a tail: this share of a group's, but no fewer than FEWEST.
SHARE, FEWEST = 0.004, 8


@dataclass(frozen=True)
class Tail:
    """One tail of each group of neurons.

    share: p, of the values beyond `start`.
    start: u, shape [G].
    scale: s, shape [G].
    """

    share: float
    start: Tensor
    scale: Tensor

    @staticmethod
    def of(values: Tensor) -> Tail:
        """The upper tail of values [G, M]."""
        count = values.shape[1]
        most = min(count, max(FEWEST, int(SHARE * count)))
        peaks = values.topk(most, 1).values
        start = peaks[:, -1]
        excess = (peaks - start.unsqueeze(1)).sum(1) / max(most - 1, 1)
        return Tail(most / count, start, excess)

    def missed(self, reach: Tensor) -> Tensor:
        """E[(d - reach)^2; d > reach] per group; as at u where the reach is less than that."""
        scale = self.scale.clamp_min(torch.finfo(reach.dtype).tiny)
        rarer = (-(reach - self.start).clamp_min(0) / scale).exp()
        return 2 * self.share * self.scale.square() * rarer


@dataclass(frozen=True)
class Tails:
    """Both tails of f* - v(0) at one site, for each group of neurons that shares a schedule.

    initial: v(0) that they are measured from.
    """

    above: Tail
    below: Tail
    initial: Tensor

    @staticmethod
    def of(target: Tensor, chosen: SiteParameters) -> Tails:
        """Of f* on calibration data, measured from the start in `chosen`."""
        known = Parameters.of(*vars(chosen).values())
        apart = _grouped(target - known.initial, known.step_sizes.shape[1:])
        return Tails(Tail.of(apart), Tail.of(-apart), known.initial)

    def missed(self, now: Parameters) -> Tensor:
        """Squared error of what lies beyond reach of the parameters `now`, mean over groups."""
        reach = now.step_sizes.sum(0).flatten()
        moved = _grouped(now.initial - self.initial, now.step_sizes.shape[1:]).mean(1)
        return (self.above.missed(reach + moved) + self.below.missed(reach - moved)).mean()


def tails_of(task: Task, chosen: Mapping[str, SiteParameters]) -> dict[str, Tails]:
    """By site name."""
    return {name: Tails.of(target, chosen[name]) for name, target in task.targets.items()}


def _grouped(values: Tensor, shape: torch.Size) -> Tensor:
    """[G, M]: neurons that share an element of a tensor of `shape`, which broadcasts over them."""
    values = values.expand(np.broadcast_shapes(values.shape, shape))
    first = values.dim() - len(shape)
    own = [first + axis for axis, size in enumerate(shape) if size != 1]
    return values.movedim(own, list(range(len(own)))).reshape(math.prod(shape), -1)
