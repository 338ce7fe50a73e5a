"""What is known of a site's values on all calibration samples, though a walk holds only some."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """Of f* over samples, neuron by neuron: tensors have the site's shape without its first axis.

    count:           values of every neuron.
    mean, variance:  the latter unbiased, 0 of a single value.
    lowest, highest: extremes.
    """

    count: int
    mean: Tensor
    variance: Tensor
    lowest: Tensor
    highest: Tensor

    @staticmethod
    def of(target: Tensor) -> Moments:
        """Of f*, shape [samples, *neurons]."""
        lowest, highest = target.aminmax(dim=0)
        variance = target.var(0) if target.shape[0] > 1 else torch.zeros_like(lowest)
        return Moments(target.shape[0], target.mean(0), variance, lowest, highest)

    def merged(self, other: Moments) -> Moments:
        """Of both sets of samples (Chan, Golub & LeVeque, 1979)."""
        count = self.count + other.count
        apart = other.mean - self.mean
        within = (self.count - 1) * self.variance + (other.count - 1) * other.variance
        between = apart.square() * (self.count * other.count / count)
        return Moments(
            count,
            self.mean + apart * (other.count / count),
            (within + between) / (count - 1),
            torch.minimum(self.lowest, other.lowest),
            torch.maximum(self.highest, other.highest),
        )


def moments(parts: Iterable[Mapping[str, Tensor]]) -> dict[str, Moments]:
    """By site name, of f* on consecutive parts of the samples.

    Sites without a first axis for samples, or whose other axes change with their number, are
    left out.
    """
    found: dict[str, Moments] = {}
    odd: set[str] = set()
    for targets in parts:
        for name, target in targets.items():
            known = found.get(name)
            fits = target.dim() > 1 and (known is None or known.mean.shape == target.shape[1:])
            if fits:
                here = Moments.of(target)
                found[name] = here if known is None else known.merged(here)
            else:
                odd.add(name)
    return {name: known for name, known in found.items() if name not in odd}
