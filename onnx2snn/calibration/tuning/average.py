"""The mean of what is tuned over the last steps (Polyak & Juditsky, 1992).

Gradients of spikes are noisy guesses; parameters wander about their optimum, and their mean is
nearer to it than where they happen to end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

# Steps before this part of them do not count.
BEGIN = 0.3
# Weights fall by a factor of e within this part of the steps, going back.
MEMORY = 1 / 6


@dataclass
class Average:
    """Mean of some tensors over the steps of a search.

    steps: how many there will be.
    """

    tensors: Sequence[Tensor]
    steps: int
    done: int = 0
    means: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.means = [tensor.detach().clone() for tensor in self.tensors]

    @torch.no_grad()
    def update(self) -> None:
        """Count the tensors as they stand after a step."""
        self.done += 1
        counts = self.done > BEGIN * self.steps
        weight = min(1.0, 1 / (MEMORY * self.steps)) if counts else 1.0
        for mean, tensor in zip(self.means, self.tensors, strict=True):
            mean.lerp_(tensor, weight)

    @torch.no_grad()
    def settle(self) -> None:
        """Give the tensors their mean."""
        for mean, tensor in zip(self.means, self.tensors, strict=True):
            tensor.copy_(mean)
