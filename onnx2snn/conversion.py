"""From a trained ONNX model to a spiking one.

load -> canonical form -> match -> calibrate -> annotate; `save` writes the result.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx
import torch
from numpy.typing import NDArray

from onnx2snn import files
from onnx2snn.annotate import annotate
from onnx2snn.calibration import data as calibration_data
from onnx2snn.calibration.ann import AnnTargets
from onnx2snn.calibration.choose import SCHEDULE_NAMES, chooser
from onnx2snn.calibration.values import ann_values, first_samples, sample_count, single
from onnx2snn.calibration.walk import SiteParameters, Walk
from onnx2snn.canonical import canonicalise
from onnx2snn.coverage import Coverage, coverage
from onnx2snn.match import Matched, Options, match
from onnx2snn.ops.dynamics import ALPHABETS
from onnx2snn.ops.errors import ModelError, UsageError
from onnx2snn.runtime.graph import read_graph
from onnx2snn.runtime.loading import load_model, sha256
from onnx2snn.runtime.open import REFUSALS_KEY, is_spiking
from onnx2snn.runtime.plan import Plan, compile_plan

Feed = Mapping[str, NDArray[Any]]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Settings:
    """How to convert; the defaults are those of the command line.

    time_steps: T, the number of steps the schedules are made for.
    schedule:   "calibrated", "exponential", "inverse" or "constant".
    step_size, decay: of a closed-form schedule, None for its default.
    spikes:     "binary" or "ternary".
    layer_norm: "decomposed" (two sites) or "fused" (one site).
    exclude:    node names or operator types, shell patterns allowed, to leave analog.
    strict:     refuse models of which a node stays analog.
    """

    time_steps: int = 32
    schedule: str = "calibrated"
    step_size: float | None = None
    decay: float | None = None
    spikes: str = "binary"
    layer_norm: str = "decomposed"
    exclude: tuple[str, ...] = ()
    strict: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.time_steps, bool) or not isinstance(self.time_steps, int):
            raise UsageError(f"time steps must be a whole number, not {self.time_steps!r}")
        if self.time_steps < 1:
            raise UsageError(f"time steps must be at least 1, not {self.time_steps}")
        choices: tuple[tuple[str, str, Sequence[str]], ...] = (
            ("schedule", self.schedule, SCHEDULE_NAMES),
            ("spikes", self.spikes, tuple(ALPHABETS)),
            ("layer norm", self.layer_norm, ("decomposed", "fused")),
        )
        for what, value, known in choices:
            if value not in known:
                raise UsageError(f"{what} '{value}' is not one of {', '.join(known)}")

    @property
    def matching(self) -> Options:
        """The part that matching needs."""
        neurons = {"dynamics": "signgd", "spikes": self.spikes, "schedule": self.schedule}
        return Options(self.layer_norm, self.exclude, neurons)


@dataclass(frozen=True)
class Source:
    """A model as it was handed in, and its canonical form."""

    original: onnx.ModelProto
    canonical: onnx.ModelProto
    sha256: str

    @staticmethod
    def read(model: str | Path | onnx.ModelProto) -> Source:
        """Load, check and canonicalise a model."""
        if isinstance(model, onnx.ModelProto):
            return Source(model, _canonical(model), "")
        original = load_model(Path(model))
        return Source(original, _canonical(original), sha256(Path(model)))


def _canonical(model: onnx.ModelProto) -> onnx.ModelProto:
    if is_spiking(model):
        raise ModelError(
            "the model is a spiking file already; convert the model that it was made from"
        )
    return canonicalise(model)


def matched_plan(source: Source, settings: Settings) -> tuple[Matched, Plan]:
    """The spiking graph of a model, without parameters, and its plan."""
    matched = match(read_graph(source.canonical), settings.matching)
    return matched, compile_plan(matched.graph)


def convert(
    model: str | Path | onnx.ModelProto,
    calibration: Feed | None = None,
    *,
    progress: Progress | None = None,
    **settings: Any,
) -> onnx.ModelProto:
    """Convert a trained ONNX model to a spiking one, an ordinary ONNX model itself.

    model:       path or loaded model.
    calibration: arrays by input name; None takes synthetic input, with a warning.
    progress:    called with (stage, steps done, steps in all).
    settings:    the fields of `Settings`.

    Raises ModelError for a model that cannot be converted, DataError for calibration data
    that do not fit it, UsageError for settings out of range.
    """
    chosen_settings = Settings(**settings)
    choose = chooser(chosen_settings.schedule, chosen_settings.step_size, chosen_settings.decay)
    source = Source.read(model)
    matched, plan = matched_plan(source, chosen_settings)
    report = coverage(plan, matched.refusals)
    _check_coverage(report, chosen_settings)
    feed = _calibration_feed(plan, calibration)
    samples = sample_count(feed)
    values = ann_values(source.original, source.canonical, plan, feed, chosen_settings.time_steps)
    feed = first_samples(feed, values.samples)
    walk = Walk(
        plan,
        {name: single(torch.from_numpy(array)) for name, array in feed.items()},
        AnnTargets(values.tensors, values.parts),
        choose,
        chosen_settings.time_steps,
    )
    parameters = walk.run(_stage(progress, "calibrating"))
    _check_finite(parameters)
    metadata = _metadata(source, chosen_settings, matched, calibration is None, values.samples)
    result = annotate(matched.graph, source.canonical, parameters, metadata)
    if values.samples < min(samples, calibration_data.LARGEST_SAMPLES):
        warnings.warn(
            f"{values.samples} of {samples} calibration samples were used, to bound memory",
            stacklevel=2,
        )
    return result


def save(model: onnx.ModelProto, path: str | Path, *, force: bool = False) -> None:
    """Check `model` and write it to `path`, whole or not at all.

    Raises UsageError where `path` exists, unless `force`, or cannot be written.
    """
    data = model.SerializeToString()
    try:
        onnx.checker.check_model(data)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"the spiking model is invalid: {str(error).splitlines()[0]}") from error
    files.write(Path(path), lambda stream: stream.write(data), force=force)


def _check_coverage(report: Coverage, settings: Settings) -> None:
    if settings.strict and report.analog:
        first = report.analog[0]
        raise ModelError(
            f"{len(report.analog)} nodes stay analog, first '{first.name}' ({first.op_type}): "
            f"{first.reason}; convert without --strict to accept that"
        )
    if not report.counts["spiking"]:
        raise ModelError(
            "no node of the model became spiking: it has no nonlinearity that carries a signal; "
            "`onnx2snn inspect` lists every node"
        )


def _calibration_feed(plan: Plan, calibration: Feed | None) -> calibration_data.Feed:
    if calibration is not None:
        return calibration_data.checked(plan.graph.inputs, calibration)
    warnings.warn(
        "no calibration data: step sizes are fitted to random input of the declared shapes, "
        "which can cost much accuracy; give real samples with --calibration DATA.npz",
        stacklevel=3,
    )
    return calibration_data.synthetic(plan.graph.inputs)


def _stage(progress: Progress | None, stage: str) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    report = progress
    return lambda done, total: report(stage, done, total)


def _check_finite(parameters: Mapping[str, SiteParameters]) -> None:
    for name, chosen in parameters.items():
        for tensor in (chosen.scale, chosen.initial, chosen.step_sizes):
            if not bool(torch.isfinite(tensor).all()):
                raise ModelError(
                    f"site '{name}': the ANN's activations are not finite on the calibration "
                    "data; check the data's range"
                )


def _metadata(
    source: Source, settings: Settings, matched: Matched, synthetic: bool, samples: int
) -> dict[str, str]:
    return {
        "onnx2snn.version": version("onnx2snn"),
        "onnx2snn.time_steps": str(settings.time_steps),
        "onnx2snn.source_sha256": source.sha256,
        "onnx2snn.calibration": json.dumps(
            {
                "samples": samples,
                "synthetic": synthetic,
                "schedule": settings.schedule,
                "step_size": settings.step_size,
                "decay": settings.decay,
            }
        ),
        REFUSALS_KEY: json.dumps(dict(matched.refusals)),
    }
