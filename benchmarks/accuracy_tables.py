"""Tables of how accurate the six digits networks are, in every configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.accuracy import ABLATIONS, CONFIGURATIONS, FEWER_SAMPLES
from benchmarks.markdown import MISSING, cell, markdown_table
from benchmarks.results import read

FAMILIES = {
    "convnext": "ConvNeXt",
    "mlp_mixer": "MLP-Mixer",
    "resmlp": "ResMLP",
    "regnet": "RegNetX",
    "vgg": "VGG, max pooling",
    "resnet": "ResNet, max pooling",
}
# Ours, against three times the steps of an exponential schedule and eight times the paper's.
EQUAL_ERROR = ((8, 24, 64), (16, 48, 128), (32, 96, 256))

EXPONENTIALS = ("exponential", "alike", "whole")

Row = Mapping[str, Any]


def _rows(method: str, **settings: Any) -> list[Row | None]:
    """A row of a method for every network, in the order of `FAMILIES`; None if not measured."""

    def matches(row: Row) -> bool:
        wanted = {"method": method, "spikes": "binary", "windows": "synchronous", **settings}
        return all(row.get(key, "binary") == value for key, value in wanted.items())

    found = (filter(matches, read(f"accuracy_{name}", missing=[])) for name in FAMILIES)
    return [next(rows, None) for rows in found]


def _title(settings: Mapping[str, Any]) -> str:
    steps = settings["time_steps"]
    windowed = settings.get("windows", "synchronous") != "synchronous"
    return f"{settings['spikes']}, " + (f"windows of {steps}" if windowed else f"T = {steps}")


def accuracy() -> str:
    """Top-1 and relative error of ours, in every configuration."""
    columns = [_rows("ours", **settings) for settings in CONFIGURATIONS]
    rows = [
        [family, *(cell(row, "{ann_top1:.1f}") for row in cells[:1])]
        + [cell(row, "{top1:.1f} ({relative_error:.3f})") for row in cells]
        for family, cells in zip(FAMILIES.values(), zip(*columns, strict=True), strict=True)
    ]
    for name, value in SUMMARIES.items():
        known = [[row for row in column if row] for column in columns]
        rows.append([name, "", *(value(column) if column else MISSING for column in known)])
    return markdown_table(["network", "ANN", *map(_title, CONFIGURATIONS)], rows)


def _largest_loss(column: Sequence[Row]) -> str:
    return f"{max(row['ann_top1'] - row['top1'] for row in column):.1f}"


def _median_error(column: Sequence[Row]) -> str:
    return f"{median(row['relative_error'] for row in column):.3f}"


def _most_energy(column: Sequence[Row]) -> str:
    return f"{max(row['energy_ratio'] for row in column):.2f}"


SUMMARIES: dict[str, Callable[[Sequence[Row]], str]] = {
    "*largest loss of top-1*": _largest_loss,
    "*median relative error*": _median_error,
    "*largest energy / ANN*": _most_energy,
}


def _errors(columns: Sequence[Sequence[Row | None]]) -> Iterator[list[str]]:
    for family, cells in zip(FAMILIES.values(), zip(*columns, strict=True), strict=True):
        yield [family, *(cell(row, "{relative_error:.4f}") for row in cells)]


def baselines() -> str:
    """Relative errors of ours against schedules of closed form with more steps."""
    header, columns = ["network"], []
    for ours, exponential, paper in EQUAL_ERROR:
        found = {"ours": ours, **dict.fromkeys(EXPONENTIALS, exponential), "paper": paper}
        for method, steps in found.items():
            header.append(f"{method}, T = {steps}")
            columns.append(_rows(method, time_steps=steps))
    return markdown_table(header, list(_errors(columns)))


def same_steps() -> str:
    """Relative errors of all methods at the same number of steps."""
    header, columns = ["network"], []
    for steps, *_ in EQUAL_ERROR:
        for method in ("paper", "exponential", "walk", "ours"):
            header.append(f"{method}, T = {steps}")
            columns.append(_rows(method, time_steps=steps))
    return markdown_table(header, list(_errors(columns)))


def ablation() -> str:
    """Relative errors with one part taken out."""
    columns = [_rows(name) for name in ABLATIONS]
    return markdown_table(["network", *ABLATIONS], list(_errors(columns)))


def calibration() -> str:
    """Relative errors on fewer samples."""
    columns = {"256 samples": _rows("all parts"), **{name: _rows(name) for name in FEWER_SAMPLES}}
    return markdown_table(["network", *columns], list(_errors(list(columns.values()))))
