"""The SNN against its ANN over time steps: accuracy, agreement, error, spikes, energy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from onnx2snn.layers import Layer, LayerTally
from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.classes import predicted
from onnx2snn.runtime.energy import Account
from onnx2snn.runtime.session import SpikingSession, typed_feed

Feed = Mapping[str, NDArray[Any]]
Outputs = Mapping[str, NDArray[Any]]


@dataclass
class Tally:
    """Running totals of a comparison with the ANN.

    hits:       samples whose class is the label.
    agreed:     samples whose class is the ANN's.
    classified: whether every sample has one class, so that labels mean something.
    squares:    sum of squared output differences and of squared ANN outputs.
    """

    hits: int = 0
    agreed: int = 0
    samples: int = 0
    classified: bool = True
    squares: tuple[float, float] = (0.0, 0.0)
    account: Account = field(default_factory=lambda: Account(0, 0, 0.0, 0, 0))

    def add(self, found: Outputs, reference: Outputs, labels: NDArray[Any] | None) -> None:
        """Add one batch of outputs."""
        first = next(iter(reference))
        classes, expected = predicted(found[first]), predicted(reference[first])
        self.samples += len(classes)
        self.agreed += int((classes == expected).all(axis=tuple(range(1, classes.ndim))).sum())
        self.classified = self.classified and classes.ndim == 1
        if labels is not None and classes.shape == labels.shape:
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


@dataclass(frozen=True)
class Row:
    """One line of the table: the SNN after `time_steps` steps.

    top1, agreement: percent; top1 is None without labels.
    spike_rate:      spikes per neuron and time step.
    sops:            synaptic operations per sample.
    energy_ratio:    energy of the SNN over that of the ANN.
    """

    time_steps: int
    top1: float | None
    agreement: float
    relative_error: float
    spike_rate: float
    spikes_per_neuron: float
    sops: float
    energy_ratio: float


@dataclass(frozen=True)
class Evaluation:
    """The whole comparison; `layers`, worst first, where they were asked for."""

    ann_top1: float | None
    rows: tuple[Row, ...]
    samples: int
    layers: tuple[Layer, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """The form of `evaluate --json`."""
        report: dict[str, Any] = {
            "ann": {"top1": self.ann_top1},
            "points": [dict(vars(row)) for row in self.rows],
            "samples": self.samples,
        }
        if self.layers is not None:
            report["layers"] = [layer.to_json() for layer in self.layers]
        return report


def _row(time_steps: int, tally: Tally, labelled: bool) -> Row:
    samples = max(tally.samples, 1)
    return Row(
        time_steps=time_steps,
        top1=100.0 * tally.hits / samples if labelled else None,
        agreement=100.0 * tally.agreed / samples,
        relative_error=tally.relative_error,
        spike_rate=tally.account.spike_rate(time_steps),
        spikes_per_neuron=tally.account.spike_rate(1),
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
    layers: LayerTally | None = None,
) -> Evaluation:
    """Run SNN and ANN over all samples, batch by batch, and compare them at each step of `at`.

    A tally of the session's `layers`, still empty, is filled on the way and reported.
    """
    _check_interface(session, ann)
    samples, at = _sample_count(feed), sorted(set(at))
    tallies = {t: Tally() for t in at}
    reference_tally = Tally()
    batch_size = _fixed_batch(session) or batch_size
    simulate = layers.simulate if layers else session.simulate
    for start in range(0, samples, batch_size):
        rows = slice(start, start + batch_size)
        batch = {name: array[rows] if array.ndim else array for name, array in feed.items()}
        truth = None if labels is None else labels[rows]
        reference = _answers(session, ann, batch)
        reference_tally.add(reference, reference, truth)
        for point in simulate(batch, at):
            tally = tallies[point.time_steps]
            tally.add(point.outputs, reference, truth)
            tally.account = tally.account + point.account
        if progress:
            progress(min(start + batch_size, samples), samples)
    labelled = labels is not None and reference_tally.classified
    return Evaluation(
        ann_top1=100.0 * reference_tally.hits / samples if labelled else None,
        rows=tuple(_row(t, tallies[t], labelled) for t in at),
        samples=samples,
        layers=layers.report(samples) if layers else None,
    )


def _sample_count(feed: Feed) -> int:
    return max((len(array) for array in feed.values() if array.ndim), default=1)


def _check_interface(session: SpikingSession, ann: onnxruntime.InferenceSession) -> None:
    """The ANN must read and write the tensors of the spiking file."""
    for what, known, needed in (
        ("input", session.get_inputs(), ann.get_inputs()),
        ("output", ann.get_outputs(), session.get_outputs()),
    ):
        missing = {info.name for info in needed} - {info.name for info in known}
        if missing:
            raise ModelError(
                f"the ANN does not fit the spiking file: {what} '{min(missing)}' is not among "
                "both models'; name the model that was converted with --ann"
            )


def _fixed_batch(session: SpikingSession) -> int | None:
    """The batch size that the model is fixed to, None where it is open."""
    shapes = [info.shape for info in session.get_inputs() if info.shape]
    return next((shape[0] for shape in shapes if isinstance(shape[0], int)), None)


def _answers(
    session: SpikingSession, ann: onnxruntime.InferenceSession, batch: Feed
) -> dict[str, NDArray[Any]]:
    """What the ANN answers, by output name."""
    checked = typed_feed(session.get_inputs(), batch)
    names = [info.name for info in session.get_outputs()]
    try:
        results = ann.run(names, {i.name: checked[i.name] for i in ann.get_inputs()})
    except Exception as error:  # onnxruntime's errors share no base class of their own
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"onnxruntime cannot run the ANN: {reason}") from error
    return dict(zip(names, results, strict=True))
