"""What travels between the steps of a plan while a block of K time steps runs.

A site that fires in part of the block only, its window, sends nothing before and after. So a
signal is stored as the span of steps in which it may change, and costs nothing outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Span:
    """Values of a signal for some consecutive steps of a block.

    start:  first of these steps, counted from the start of the block.
    values: shape [steps of the span, *shape].
    """

    start: int
    values: Tensor

    @property
    def stop(self) -> int:
        """The step after the last."""
        return self.start + self.values.shape[0]

    def widened(self, start: int, stop: int) -> Tensor:
        """Increments over steps [start, stop), which hold the span: zero outside of it."""
        if (start, stop) == (self.start, self.stop):
            return self.values
        silence = self.values.new_zeros
        shape = self.values.shape[1:]
        before, after = silence((self.start - start, *shape)), silence((stop - self.stop, *shape))
        return torch.cat([before, self.values, after])


@dataclass(frozen=True)
class Course:
    """A tensor's value over a block.

    before: value until the span starts.
    moving: values x(t) within the span, None where nothing changes; its last one holds after.
    """

    before: Tensor
    moving: Span | None

    def over(self, start: int, stop: int) -> Tensor:
        """x(t) for steps [start, stop) of the block, shape [stop - start, *shape]."""
        if self.moving is None:
            return self.before.expand(stop - start, *self.before.shape)
        first, last = self.moving.start, self.moving.stop
        if first <= start and stop <= last:
            return self.moving.values[start - first : stop - first]
        parts = [
            _held(self.before, min(first, stop) - start),
            self.moving.values[max(start - first, 0) : max(stop - first, 0)],
            _held(self.moving.values[-1], stop - max(last, start)),
        ]
        return torch.cat([part for part in parts if part.shape[0]])


def _held(value: Tensor, steps: int) -> Tensor:
    return value.expand(max(steps, 0), *value.shape)


def union(spans: Iterable[Span]) -> tuple[int, int]:
    """The steps [start, stop) that hold all spans."""
    known = list(spans)
    return min(span.start for span in known), max(span.stop for span in known)


def differences(before: Tensor, values: Tensor) -> Tensor:
    """values(t) - values(t - 1) for a trajectory [K, *shape] that follows `before`."""
    if torch.is_grad_enabled():
        return values - torch.cat([before.unsqueeze(0), values[:-1]])
    changes = torch.empty_like(values)
    torch.sub(values[0], before, out=changes[0])
    torch.sub(values[1:], values[:-1], out=changes[1:])
    return changes


def accumulate(before: Tensor, increments: Tensor) -> Tensor:
    """before + increments[0] + .. + increments[t], added in that order, for every t."""
    if torch.is_grad_enabled():
        return torch.stack([before := before + increment for increment in increments])
    result = torch.empty_like(increments)
    for t in range(increments.shape[0]):
        before = torch.add(before, increments[t], out=result[t])
    return result


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


@dataclass
class Signals:
    """Signals of one block of K steps.

    increments: by tensor name; a varying tensor that is not there does not change.
    courses:    values over the block, where asked for.
    """

    steps: int
    increments: dict[str, Span] = field(default_factory=dict)
    courses: dict[str, Course] = field(default_factory=dict)

    def alone(self, name: str) -> bool:
        """Whether no other signal lies in the memory of these increments."""
        others = [span.values for other, span in self.increments.items() if other != name]
        others += [c.moving.values for c in self.courses.values() if c.moving is not None]
        memory = _memory(self.increments[name].values)
        return all(_memory(values) != memory for values in others)

    def release(self, names: Sequence[str]) -> None:
        """Forget tensors that no later step reads."""
        for name in names:
            self.increments.pop(name, None)
            self.courses.pop(name, None)


def last(trajectory: Tensor) -> Tensor:
    """The value after the block, in storage of its own so that the block can be freed."""
    return trajectory[-1].clone() if trajectory.shape[0] > 1 else trajectory[-1]
