"""What travels along an edge of a NIR graph."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
ONE = np.ones(())


@dataclass(frozen=True)
class Signal:
    """The sum of what some nodes send, times a gain.

    sources: NIR nodes whose outputs are added.
    shape:   of one sample.
    gain:    () or broadcastable along the first axis of `shape`: the weight of a spike, which the
             next node with weights takes over.
    """

    sources: tuple[str, ...]
    shape: tuple[int, ...]
    gain: Array = field(default_factory=lambda: ONE)

    @property
    def by_channel(self) -> Array:
        """The gain of every index of the first axis."""
        return np.broadcast_to(self.gain.reshape(-1), (self.shape[0],))

    def flattened(self, source: str) -> Signal:
        """The signal behind a flattening node."""
        size = int(np.prod(self.shape))
        gain = self.gain
        if gain.ndim:
            gain = np.broadcast_to(gain, self.shape).reshape(-1)
        return Signal((source,), (size,), gain)

    def through(self, source: str, shape: tuple[int, ...]) -> Signal:
        """The signal behind a node that treats every channel alike."""
        return replace(self, sources=(source,), shape=shape)
