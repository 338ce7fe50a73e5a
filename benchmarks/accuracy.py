"""Accuracy of the six digits networks, ours against the baselines: one conversion for each T.

python -m benchmarks.accuracy [--methods ours,walk,...] [NAME...]

Everything is judged on the 500 test images against the ANN. Methods:

ours:        the default of `convert`: a walk through the sites, then tuning of them all;
walk:        the same without tuning;
exponential: the best of a grid of exponential schedules, chosen for each network and T by the
             error on calibration images, scaled to every channel's range; of what may pass by
             neurons, shortcuts alone do, here and below;
whole:       the same with the paper's sites: trees of maxima, two sites for a LayerNormalization,
             and nothing that passes by;
alike:       the same with all that passes by in ours at a third of the steps;
paper:       the paper's own code and defaults (`--preset paper`);
ablation:    ours with one of its parts taken out, or more passing by, all with few tuning steps;
calibration: the same on fewer calibration images, and on synthetic ones.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import onnx

import onnx2snn
from benchmarks.results import read, write
from models.digits import FOLDER, NAMES
from onnx2snn.calibration.ann import open_onnxruntime
from onnx2snn.evaluation import evaluate
from onnx2snn.settings import STEPS_TOGETHER
from onnx2snn.source import Source, matched_plan

Row = dict[str, Any]

CONFIGURATIONS: tuple[dict[str, Any], ...] = (
    {"spikes": "binary", "time_steps": 8},
    {"spikes": "binary", "time_steps": 16},
    {"spikes": "binary", "time_steps": 32},
    {"spikes": "ternary", "time_steps": 4},
    {"spikes": "ternary", "time_steps": 8},
    {"spikes": "ternary", "time_steps": 4, "windows": "sequential"},
)
SAME_STEPS = (8, 16, 32)
# At equal error ours should need 3 and 8 times fewer steps than these.
THREE_TIMES = tuple(3 * steps for steps in SAME_STEPS)
EXPONENTIAL_STEPS = (*SAME_STEPS, *THREE_TIMES)
PAPER_STEPS = (*SAME_STEPS, 64, 128, 256)
# Of exponential schedules: last over first step size, and the sum of all over the range.
LAST_STEPS = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
REACHES = (1.0, 1.5, 2.5)
SAMPLES = 256
SEARCH_SAMPLES = 64
FEWER_SAMPLES = {
    "64 samples": 64,
    "16 samples": 16,
    "16 samples, none made of them": 16,
    "synthetic input": 0,
}
ABLATION_STEPS = 100
TUNING = "onnx2snn.calibration.tuning.tune"
# Only the given samples.
NONE_MADE = {f"{TUNING}.samples_to_learn_from": lambda *_: 0}
TWO_SITES = "two sites of a LayerNormalization"
NOTHING_PASSES = "nothing passes by"
SOME_PASSES, ALL_PASSES = "linear parts of some sites pass", "linear parts of all sites pass"
ABLATIONS: dict[str, dict[str, Any]] = {
    "all parts": {},
    "no tuning": {},
    "no starts of single neurons": {
        "onnx2snn.calibration.task.Task.has_own_axes": lambda *_: False,
    },
    "no thresholds of single neurons": {f"{TUNING}.MOST_THRESHOLDS": 0},
    "no damping": {"onnx2snn.ops.surrogate.DAMPING": 1.0},
    "no error of sites": {f"{TUNING}.SITE_WEIGHT": 0.0},
    "no averaging": {"onnx2snn.calibration.tuning.average.Average.settle": lambda *_: None},
    "no room for unseen data": {f"{TUNING}.UNSEEN_WEIGHT": 0.0},
    TWO_SITES: {},
    NOTHING_PASSES: {},
    SOME_PASSES: {},
    ALL_PASSES: {},
}
# What baselines and ablations let pass by neurons: shortcuts alone.
SHORTCUTS = {"bypass": "residual"}
PAPERS_SITES = {"bypass": "none", "layer_norm": "decomposed", "max_pool": "tree"}
# Parts that are settings.
SETTINGS: dict[str, dict[str, Any]] = {
    TWO_SITES: {"layer_norm": "decomposed"},
    NOTHING_PASSES: {"bypass": "none"},
    SOME_PASSES: {"bypass": "linear"},
    ALL_PASSES: {"bypass": "all"},
}


@dataclass(frozen=True)
class Case:
    """A network with its images."""

    name: str

    @property
    def path(self) -> str:
        """Of the trained model."""
        return str(FOLDER / f"{self.name}.onnx")

    def images(self, part: str) -> Mapping[str, Any]:
        """Images and labels of the "calibration" or the "test" part."""
        return dict(np.load(FOLDER / f"digits_{part}.npz"))

    def convert(self, samples: int = SAMPLES, **settings: Any) -> onnx.ModelProto:
        """The network as a spiking one; without samples, on synthetic input."""
        image = self.images("calibration")["image"][:samples]
        return onnx2snn.convert(self.path, {"image": image} if samples else None, **settings)

    def row(self, method: str, samples: int = SAMPLES, **settings: Any) -> Row:
        """Convert and judge on the test images."""
        start = time.perf_counter()
        model = self.convert(samples, **settings)
        seconds = time.perf_counter() - start
        test = self.images("test")
        session = onnx2snn.SpikingSession(model, device="cpu")
        ann = open_onnxruntime(self.path)
        image = {"image": test["image"]}
        result = evaluate(session, ann, image, test["labels"], [session.time_steps])
        return {
            "model": self.name,
            "method": method,
            "windows": "synchronous",
            "samples": samples,
            **settings,
            "ann_top1": result.ann_top1,
            "latency": session.time_steps,
            **{key: value for key, value in vars(result.rows[0]).items() if key != "time_steps"},
            "conversion_seconds": round(seconds, 1),
        }


def ours(case: Case) -> Iterator[Row]:
    """The default of `convert`."""
    for settings in CONFIGURATIONS:
        yield case.row("ours", **settings)


def walk(case: Case) -> Iterator[Row]:
    """Site after site, no tuning."""
    for settings in CONFIGURATIONS:
        yield case.row("walk", tuning=0, **settings)


def exponential(case: Case) -> Iterator[Row]:
    """The best exponential schedule for each T."""
    for time_steps in EXPONENTIAL_STEPS:
        yield case.row("exponential", **_best_exponential(case, time_steps, {}))


def whole(case: Case) -> Iterator[Row]:
    """The best exponential schedule for each T, of the paper's sites."""
    for time_steps in THREE_TIMES:
        yield case.row("whole", **_best_exponential(case, time_steps, PAPERS_SITES))


def alike(case: Case) -> Iterator[Row]:
    """The best exponential schedule for each T, of our sites."""
    for time_steps in SAME_STEPS:
        matched, _ = matched_plan(Source.read(case.path), onnx2snn.Settings(time_steps=time_steps))
        passing = {"bypass": matched.bypass}
        with _patched({"onnx2snn.settings.STEPS_TOGETHER": 3 * STEPS_TOGETHER}):
            yield case.row("alike", **_best_exponential(case, 3 * time_steps, passing))


def paper(case: Case) -> Iterator[Row]:
    """The paper's own configuration."""
    for time_steps in PAPER_STEPS:
        yield case.row("paper", preset="paper", time_steps=time_steps)


@contextmanager
def _patched(replaced: Mapping[str, Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for target, value in replaced.items():
            stack.enter_context(mock.patch(target, value))
        yield


def ablation(case: Case) -> Iterator[Row]:
    """One part taken out at a time."""
    for name, replaced in ABLATIONS.items():
        tuning = 0 if name == "no tuning" else ABLATION_STEPS
        with _patched(replaced):
            yield case.row(
                name, time_steps=8, tuning=tuning, **{**SHORTCUTS, **SETTINGS.get(name, {})}
            )


def calibration(case: Case) -> Iterator[Row]:
    """Ours on fewer samples, and on synthetic ones."""
    for name, samples in FEWER_SAMPLES.items():
        with _patched(NONE_MADE if "none made" in name else {}):
            yield case.row(name, samples, time_steps=8, tuning=ABLATION_STEPS, **SHORTCUTS)


METHODS: dict[str, Callable[[Case], Iterator[Row]]] = {
    method.__name__: method
    for method in (ours, walk, exponential, whole, alike, paper, ablation, calibration)
}

# Names of the rows that a method makes, where it makes several kinds.
VARIANTS: dict[str, Iterable[str]] = {"ablation": ABLATIONS, "calibration": FEWER_SAMPLES}


def _exponentials(time_steps: int) -> Iterator[dict[str, Any]]:
    for last in LAST_STEPS:
        decay = last ** (1 / (time_steps - 1))
        total = (1 - decay**time_steps) / (1 - decay)
        for reach in REACHES:
            yield {
                "schedule": "exponential",
                "time_steps": time_steps,
                "step_size": reach / total,
                "decay": decay,
                "tuning": 0,
                **SHORTCUTS,
            }


def _best_exponential(case: Case, time_steps: int, sites: Mapping[str, str]) -> dict[str, Any]:
    grid = ({**settings, **sites} for settings in _exponentials(time_steps))
    return min(grid, key=lambda settings: _calibration_error(case, settings))


def _calibration_error(case: Case, settings: Mapping[str, Any]) -> float:
    session = onnx2snn.SpikingSession(case.convert(SEARCH_SAMPLES, **settings), device="cpu")
    image = {"image": case.images("calibration")["image"][:SEARCH_SAMPLES]}
    (row,) = evaluate(session, open_onnxruntime(case.path), image, None, [session.time_steps]).rows
    return row.relative_error


def main() -> None:
    """Measure, and write benchmarks/results/accuracy_<network>.json after every row."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(NAMES))
    parser.add_argument("--methods", default=",".join(METHODS))
    arguments = parser.parse_args()
    chosen = arguments.methods.split(",")
    for name in arguments.names:
        file = f"accuracy_{name.removeprefix('digits_')}"
        replaced = {row for method in chosen for row in VARIANTS.get(method, (method,))}
        rows = [row for row in read(file, missing=[]) if row["method"] not in replaced]
        for method in chosen:
            for row in METHODS[method](Case(name)):
                rows.append(row)
                print(row, flush=True)
                write(file, f"python -m benchmarks.accuracy {name}", rows)


if __name__ == "__main__":
    main()
