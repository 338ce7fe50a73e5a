"""From a trained ONNX model to a spiking one.

load -> canonical form -> match -> calibrate -> annotate; `saving.save` writes the result.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx
import torch
from numpy.typing import NDArray

from onnx2snn.annotate import annotate
from onnx2snn.bypass import limited
from onnx2snn.calibration import data as calibration_data
from onnx2snn.calibration.calibrate import Progress, calibrate
from onnx2snn.calibration.choose import chooser
from onnx2snn.calibration.direct import (
    group_peaks,
    integrating_parameters,
    neuron_peaks,
    paper_parameters,
)
from onnx2snn.calibration.exact import exact_activations
from onnx2snn.calibration.fewest import disagreement, fewest_steps
from onnx2snn.calibration.slopes import fitted
from onnx2snn.calibration.task import Task
from onnx2snn.calibration.values import (
    ann_values,
    check_first_sample,
    first_samples,
    sample_count,
    single,
)
from onnx2snn.calibration.variations import filled
from onnx2snn.calibration.walk import Choose, SiteParameters
from onnx2snn.calibration.windows import Windows, parse_offset, windows
from onnx2snn.coverage import Coverage, coverage
from onnx2snn.match import Matched, match
from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.schedule import SCHEDULES, integration
from onnx2snn.rules import ALL
from onnx2snn.runtime.graph import read_graph
from onnx2snn.runtime.open import REFUSALS_KEY
from onnx2snn.runtime.plan import Plan, compile_plan
from onnx2snn.settings import AUTO, DIRECT, Settings
from onnx2snn.smooth import roundings
from onnx2snn.source import Source, matched_plan

Feed = Mapping[str, NDArray[Any]]


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
    settings:    the fields of `onnx2snn.Settings`.

    Raises ModelError for a model that cannot be converted, DataError for calibration data
    that do not fit it, UsageError for settings out of range.
    """
    chosen_settings = Settings(**settings)
    choose = _chooser(chosen_settings)
    source = Source.read(model)
    matched, plan = matched_plan(source, chosen_settings)
    _check_coverage(coverage(plan, matched.refusals, matched.merged), chosen_settings)
    if chosen_settings.quantization == "exact":
        _warn_of_rounding(source)
    feed = _calibration_feed(plan, calibration)
    matched, plan = _with_slopes(source, matched, plan, feed, chosen_settings.together)
    summary = _summary(chosen_settings, sample_count(feed), calibration is None)
    if chosen_settings.is_fixed:
        parameters = direct_parameters(source, plan, feed, chosen_settings)
        metadata = _metadata(source, chosen_settings.window, matched, summary)
        return annotate(matched.graph, source.canonical, parameters, metadata)

    def attempt(time_steps: int) -> tuple[Task, dict[str, SiteParameters]]:
        fire = windows(plan, time_steps, parse_offset(chosen_settings.windows))
        task = _task(source, plan, feed, fire, time_steps, matched.bypass != ALL)

        def more(samples: int) -> Task:
            wide = filled(feed, samples)
            return (
                _task(source, plan, wide, fire, None, task.saves_energy)
                if sample_count(wide) > task.samples
                else task
            )

        return task, calibrate(task, choose, chosen_settings.tuning_steps, more, progress)

    if chosen_settings.time_steps == AUTO:
        task, parameters, tried = _fewest(attempt, chosen_settings.tolerance)
    else:
        task, parameters = attempt(int(chosen_settings.time_steps))
        tried = {}
    _warn_of_samples(task, feed)
    summary |= {"samples": task.samples, "disagreement": tried}
    metadata = _metadata(source, task.windows, matched, summary)
    return annotate(matched.graph, source.canonical, parameters, metadata)


def _with_slopes(
    source: Source,
    matched: Matched,
    plan: Plan,
    feed: calibration_data.Feed,
    together: int,
) -> tuple[Matched, Plan]:
    """What passes by neurons, fitted to data; the same plan where nothing does."""
    graph = fitted(matched.graph, plan, source.canonical, feed)
    if graph is matched.graph:
        return matched, plan
    if matched.bypass == ALL:
        graph = replace(graph, nodes=tuple(limited(graph.nodes, together)))
    return replace(matched, graph=graph), compile_plan(graph)


def _chooser(settings: Settings) -> Choose:
    """The rule for a site's schedule; checks the settings that belong to schedules."""
    name = "calibrated" if settings.integrating else settings.schedule_name
    return chooser(name, settings.step_size, settings.decay)


def _summary(settings: Settings, samples: int, synthetic: bool) -> dict[str, Any]:
    """What the file says of its calibration."""
    keys = ["step_size", "decay"]
    if settings.integrating:
        keys = ["threshold", "percentile", "membrane", "seed"]
        keys += ["tau"] if settings.dynamics == "lif" else []
    return {
        "samples": samples,
        "synthetic": synthetic,
        "preset": settings.preset,
        "dynamics": settings.dynamics,
        "schedule": settings.schedule_name,
        "disagreement": {},
        **{key: getattr(settings, key) for key in keys},
        **({"input": settings.input or DIRECT} if settings.integrating else {}),
    }


def direct_parameters(
    source: Source, plan: Plan, feed: calibration_data.Feed, settings: Settings
) -> dict[str, SiteParameters]:
    """Parameters of the paper's preset and of IF and LIF neurons, from the ANN's activations."""
    check_first_sample(source.original, source.canonical, plan, feed)
    ann = compile_plan(match(read_graph(source.canonical), settings.of_the_ann).graph)
    steps = int(settings.time_steps)
    found = exact_activations(ann, feed)
    if settings.preset:
        schedule = SCHEDULES[settings.schedule_name]
        step_sizes = schedule(steps, settings.step_size, settings.decay)
        return paper_parameters(plan, neuron_peaks(found), step_sizes)
    eta, theta = integration(
        steps, settings.tau if settings.dynamics == "lif" else None, settings.membrane
    )
    peaks = group_peaks(found, settings.threshold, settings.percentile)
    return integrating_parameters(plan, peaks, feed, eta, theta)


def _task(
    source: Source,
    plan: Plan,
    feed: calibration_data.Feed,
    fire: Windows,
    time_steps: int | None,
    saves_energy: bool,
) -> Task:
    """The ANN's values on as many samples as a walk over `time_steps` affords; None for all."""
    values = ann_values(source.original, source.canonical, plan, feed, time_steps)
    used = first_samples(feed, values.samples)
    inputs = {name: single(torch.from_numpy(array)) for name, array in used.items()}
    return Task(plan, inputs, values, fire, saves_energy)


Attempt = Callable[[int], tuple[Task, dict[str, SiteParameters]]]


def _fewest(
    attempt: Attempt, tolerance: float
) -> tuple[Task, dict[str, SiteParameters], dict[int, float]]:
    """The attempt with the fewest time steps within the tolerance, and what others gave."""
    results = {}

    def disagreement_of(time_steps: int) -> float:
        results[time_steps] = attempt(time_steps)
        return disagreement(*results[time_steps])

    choice = fewest_steps(disagreement_of, tolerance)
    return *results[choice.time_steps], choice.tried


def _warn_of_samples(task: Task, feed: calibration_data.Feed) -> None:
    samples = min(sample_count(feed), calibration_data.LARGEST_SAMPLES)
    if task.samples < samples:
        warnings.warn(
            f"schedules were fitted to {task.samples} of {samples} calibration samples, to bound "
            "memory; ranges and means are those of all",
            stacklevel=3,
        )


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


def _warn_of_rounding(source: Source) -> None:
    count = roundings(read_graph(source.canonical))
    if count:
        warnings.warn(
            f"{count} sites do nothing but round a quantised signal, which costs accuracy at few "
            'time steps; quantization="smooth" (--quantization smooth) leaves them out',
            stacklevel=3,
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


def _metadata(
    source: Source, fire: Windows, matched: Matched, calibration: Mapping[str, Any]
) -> dict[str, str]:
    return {
        "onnx2snn.version": version("onnx2snn"),
        "onnx2snn.time_steps": str(fire.length),
        "onnx2snn.latency": str(fire.latency),
        "onnx2snn.source_sha256": source.sha256,
        "onnx2snn.calibration": json.dumps(calibration),
        REFUSALS_KEY: json.dumps(dict(matched.refusals)),
    }
