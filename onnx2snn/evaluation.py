"""The SNN against its ANN over time steps: accuracy, agreement, error, spikes, energy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from onnx2snn.layers import Layer, LayerTally
from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.inputs import typed_feed
from onnx2snn.runtime.session import SpikingSession
from onnx2snn.runtime.settle import settle
from onnx2snn.samples import ArraySamples, Samples, ahead
from onnx2snn.shares import Ledger, Workers
from onnx2snn.tally import BatchTally, Tally

__all__ = ["EarlyExit", "Evaluation", "Row", "Tally", "evaluate"]

Feed = Mapping[str, NDArray[Any]]
ALONE = Workers()


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
class EarlyExit:
    """The SNN when each sample ends once its class is stable; as in `Row`."""

    mean_time_steps: float
    top1: float | None
    agreement: float
    relative_error: float


@dataclass(frozen=True)
class Evaluation:
    """The whole comparison; `layers`, worst first, and `early_exit` where they were asked for."""

    ann_top1: float | None
    rows: tuple[Row, ...]
    samples: int
    layers: tuple[Layer, ...] | None = None
    early_exit: EarlyExit | None = None

    def to_json(self) -> dict[str, Any]:
        """The form of `evaluate --json`."""
        report: dict[str, Any] = {
            "ann": {"top1": self.ann_top1},
            "points": [dict(vars(row)) for row in self.rows],
            "samples": self.samples,
        }
        if self.early_exit is not None:
            report["early_exit"] = dict(vars(self.early_exit))
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
    feed: Feed | Samples,
    labels: NDArray[Any] | None,
    at: Sequence[int],
    *,
    batch_size: int = 64,
    progress: Callable[[int, int], None] | None = None,
    layers: LayerTally | None = None,
    early_exit: int | None = None,
    ledger: Ledger | None = None,
    workers: Workers = ALONE,
) -> Evaluation:
    """Run SNN and ANN over all samples, batch by batch, and compare them at each step of `at`.

    feed:       arrays by input name, or `Samples` that bring their own labels.
    layers:     a tally of the session's sites, still empty, to be filled and reported.
    early_exit: also let each sample end once its class is what it was so many steps before.
    ledger:     finished batches, which are not done again.
    workers:    the processes that share the batches; each returns the totals of all.
    """
    _check_interface(session, ann)
    samples = feed if not isinstance(feed, Mapping) else ArraySamples(feed, labels)
    size = _fixed_batch(session) or batch_size
    starts = range(0, samples.count, size)
    parts = [(start, min(start + size, samples.count)) for start in starts]
    known = {} if ledger is None else dict(ledger.known)
    mine = [i for i in range(len(parts)) if i % workers.count == workers.rank and i not in known]
    compare = _Comparison(session, ann, sorted(set(at)), early_exit, layers)
    for i, batch in zip(mine, ahead(samples, [parts[i] for i in mine]), strict=True):
        known[i] = compare(*batch)
        if ledger:
            ledger.add(i, known[i])
        if progress:
            progress(parts[i][1], samples.count)
    gathered = workers.gather(known)
    total = reduce(add, (gathered[i] for i in range(len(parts))))
    return _evaluation(total, layers.report(samples.count) if layers else None)


@dataclass(frozen=True)
class _Comparison:
    """SNN and ANN on one batch."""

    session: SpikingSession
    ann: onnxruntime.InferenceSession
    at: Sequence[int]
    early_exit: int | None
    layers: LayerTally | None

    def __call__(self, batch: Feed, labels: NDArray[Any] | None) -> BatchTally:
        reference = _answers(self.session, self.ann, batch)
        of_reference = Tally()
        of_reference.add(reference, reference, labels)
        simulate = self.layers.simulate if self.layers else self.session.simulate
        points = {}
        for point in simulate(batch, self.at):
            tally = Tally(account=point.account)
            tally.add(point.outputs, reference, labels)
            points[point.time_steps] = tally
        early = self._early(batch, reference, labels) if self.early_exit else None
        return BatchTally(of_reference, points, early, labels is not None)

    def _early(self, batch: Feed, reference: Feed, labels: NDArray[Any] | None) -> Tally:
        latency, every = self.session.time_steps, self.early_exit or 1
        checks = [*range(every, latency, every), latency]
        settled = settle(self.session.stream(batch, checks))
        tally = Tally(steps=int(settled.steps.sum()))
        tally.add(settled.outputs, reference, labels)
        return tally


def _evaluation(total: BatchTally, layers: tuple[Layer, ...] | None) -> Evaluation:
    labelled = total.labelled and total.reference.classified
    samples = total.reference.samples
    early = total.early
    return Evaluation(
        ann_top1=100.0 * total.reference.hits / max(samples, 1) if labelled else None,
        rows=tuple(_row(t, tally, labelled) for t, tally in sorted(total.points.items())),
        samples=samples,
        layers=layers,
        early_exit=None if early is None else _early_exit(early, labelled),
    )


def _early_exit(tally: Tally, labelled: bool) -> EarlyExit:
    samples = max(tally.samples, 1)
    return EarlyExit(
        mean_time_steps=tally.steps / samples,
        top1=100.0 * tally.hits / samples if labelled else None,
        agreement=100.0 * tally.agreed / samples,
        relative_error=tally.relative_error,
    )


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
