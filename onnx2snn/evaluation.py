"""The SNN against its ANN over time steps: accuracy, agreement, error, spikes, energy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from onnx2snn.runtime.energy import Account
from onnx2snn.runtime.session import SpikingSession

Feed = Mapping[str, NDArray[Any]]
Outputs = Mapping[str, NDArray[Any]]


@dataclass
class Tally:
    """Running totals of a comparison with the ANN.

    hits:    samples whose class is the label; None without labels.
    agreed:  samples whose class is the ANN's.
    squares: sum of squared output differences and of squared ANN outputs.
    """

    hits: int = 0
    agreed: int = 0
    samples: int = 0
    squares: tuple[float, float] = (0.0, 0.0)
    account: Account = field(default_factory=lambda: Account(0, 0, 0.0, 0, 0))

    def add(self, found: Outputs, reference: Outputs, labels: NDArray[Any] | None) -> None:
        """Add one batch of outputs."""
        first = next(iter(reference))
        classes, expected = predicted(found[first]), predicted(reference[first])
        self.samples += len(classes)
        self.agreed += int((classes == expected).all(axis=tuple(range(1, classes.ndim))).sum())
        if labels is not None and classes.ndim == 1:
            self.hits += int((classes == labels).sum())
        error, norm = self.squares
        for name, value in reference.items():
            error += float(np.square(found[name].astype(np.float64) - value).sum())
            norm += float(np.square(value.astype(np.float64)).sum())
        self.squares = (error, norm)

    @property
    def relative_error(self) -> float:
        """||snn - ann|| / ||ann|| over all outputs and samples."""
        error, norm = self.squares
        return float(np.sqrt(error / max(norm, 1e-300)))


def predicted(output: NDArray[Any]) -> NDArray[Any]:
    """Class per sample: argmax over the last axis (the sign for a single value)."""
    if output.ndim == 0:
        return np.reshape(output > 0, (1,))
    if output.ndim == 1 or output.shape[-1] == 1:
        return np.asarray(output.reshape(output.shape[0], -1)[:, 0] > 0)
    return np.asarray(output.argmax(-1))


@dataclass(frozen=True)
class Row:
    """One line of the table: the SNN after `time_steps` steps.

    top1, agreement: percent; top1 is None without labels.
    sops:            synaptic operations per sample.
    energy_ratio:    energy of the SNN over that of the ANN.
    """

    time_steps: int
    top1: float | None
    agreement: float
    relative_error: float
    spike_rate: float
    sops: float
    energy_ratio: float


@dataclass(frozen=True)
class Evaluation:
    """The whole comparison."""

    ann_top1: float | None
    rows: tuple[Row, ...]
    samples: int

    def to_json(self) -> dict[str, Any]:
        """The form of `evaluate --json`."""
        return {
            "ann": {"top1": self.ann_top1},
            "points": [dict(vars(row)) for row in self.rows],
            "samples": self.samples,
        }


def _row(time_steps: int, tally: Tally, labelled: bool) -> Row:
    samples = max(tally.samples, 1)
    return Row(
        time_steps=time_steps,
        top1=100.0 * tally.hits / samples if labelled else None,
        agreement=100.0 * tally.agreed / samples,
        relative_error=tally.relative_error,
        spike_rate=tally.account.spike_rate(time_steps),
        sops=tally.account.sops / samples,
        energy_ratio=tally.account.energy_ratio,
    )


def evaluate(
    session: SpikingSession,
    ann: onnxruntime.InferenceSession,
    feed: Feed,
    labels: NDArray[Any] | None,
    at: Sequence[int],
    *,
    batch_size: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Run SNN and ANN over all samples, batch by batch, and compare them at each step of `at`."""
    names = [info.name for info in session.get_outputs()]
    samples = len(next(iter(feed.values())))
    at = sorted(set(at))
    tallies = {t: Tally() for t in at}
    reference_tally = Tally()
    for start in range(0, samples, batch_size):
        batch = {name: array[start : start + batch_size] for name, array in feed.items()}
        truth = None if labels is None else labels[start : start + batch_size]
        inputs = {i.name: batch[i.name].astype(_numpy_type(i.type)) for i in ann.get_inputs()}
        reference = dict(zip(names, ann.run(names, inputs), strict=True))
        reference_tally.add(reference, reference, truth)
        for point in session.simulate(batch, at):
            tally = tallies[point.time_steps]
            tally.add(point.outputs, reference, truth)
            tally.account = tally.account + point.account
        if progress:
            progress(min(start + batch_size, samples), samples)
    labelled = labels is not None and reference_tally.samples == samples
    return Evaluation(
        ann_top1=100.0 * reference_tally.hits / samples if labelled else None,
        rows=tuple(_row(t, tallies[t], labelled) for t in at),
        samples=samples,
    )


def _numpy_type(name: str) -> Any:
    known = {"float": "float32", "double": "float64", "bool": "bool"}
    inner = name.removeprefix("tensor(").removesuffix(")")
    return np.dtype(known.get(inner, inner))
