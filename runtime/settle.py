"""Early exit: each sample is done when its answer stays what it was some time steps ago."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx2snn.ops.errors import UsageError
from onnx2snn.runtime.classes import predicted
from onnx2snn.runtime.session import Point


@dataclass(frozen=True)
class Settled:
    """What samples answer when they are done.

    outputs: by name, each sample's at its own last step.
    steps:   time steps that each sample took, shape [samples].
    """

    outputs: dict[str, NDArray[Any]]
    steps: NDArray[np.int64]


def settle(points: Iterable[Point]) -> Settled:
    """Follow a simulation until no sample's class differs from that at the point before.

    points: of `SpikingSession.stream`, which does no more work than what is read from it.
    """
    outputs: dict[str, NDArray[Any]] = {}
    steps = np.zeros(0, np.int64)
    before: NDArray[Any] | None = None
    active = np.zeros(0, bool)
    for point in points:
        classes = predicted(next(iter(point.outputs.values())))
        if before is None:
            outputs = {name: array.copy() for name, array in point.outputs.items()}
            _check(outputs, len(classes))
            steps, active = np.zeros(len(classes), np.int64), np.ones(len(classes), bool)
        for name, array in point.outputs.items():
            outputs[name][active] = array[active]
        steps[active] = point.time_steps
        if before is not None:
            active &= (classes != before).reshape(len(classes), -1).any(1)
        before = classes
        if not active.any():
            break
    return Settled(outputs, steps)


def _check(outputs: dict[str, NDArray[Any]], samples: int) -> None:
    for name, array in outputs.items():
        if not array.ndim or len(array) != samples:
            raise UsageError(f"early exit needs one row per sample; output '{name}' has none")
