"""Markdown tables of README and the pages in docs/, made from the files in results/.

python -m benchmarks.tables writes them between the markers there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.accuracy_tables import (
    FAMILIES,
    ablation,
    accuracy,
    baselines,
    calibration,
    same_steps,
)
from benchmarks.curves_tables import curve, sweep
from benchmarks.markdown import MISSING, cell, markdown_table
from benchmarks.paper_table import TIME_STEPS
from benchmarks.results import read
from benchmarks.torchvision_tables import torchvision, torchvision_speed

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/accuracy.md", "docs/fidelity.md", "docs/performance.md")
METHODS = ("paper", "exponential", "ours")

Row = Mapping[str, Any]


def paper_size() -> str:
    """Conversion and run of the paper's configurations."""
    rows = [
        [
            row["model"],
            str(row["sites"]),
            str(row["analog"]),
            f"{row['conversion_seconds']:.0f} s",
            f"{row['first_run_seconds']:.1f} s",
            f"{row['run_seconds']:.1f} s",
            f"{row['peak_gib']:.1f} GiB",
        ]
        for row in read("paper_size")
    ]
    header = [
        "network",
        "sites",
        "analog nodes",
        "conversion",
        "first run",
        "later runs",
        "peak memory",
    ]
    return markdown_table(header, rows)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"


def speed() -> str:
    """Simulation against forwards of the ANN in onnxruntime, with a median."""
    rows = read("speed", [])
    columns: list[Callable[[Row], float]] = [
        lambda row: row["float32_batch_64"]["step_per_forward"],
        lambda row: row["few_steps_batch_64"]["step_per_forward"],
        lambda row: row["bf16_batch_64"]["step_per_forward"],
        lambda row: row["eager_batch_64"]["step_per_forward"],
        lambda row: row["float32_batch_1"]["run_per_forward"],
        lambda row: row["few_steps_batch_1"]["run_per_forward"],
    ]
    table = [
        [
            FAMILIES[row["model"]],
            *(f"{column(row):.2f}" for column in columns[:4]),
            *(f"{column(row):.0f}" for column in columns[4:]),
            *(_percent(row["shares"].get(part)) for part in ("linear", "sites")),
            " / ".join(f"{mib:.0f}" for mib in row["peak_mib"].values()),
        ]
        for row in rows
    ]
    if rows:
        middle = [median(column(row) for row in rows) for column in columns]
        figures = [*(f"{x:.2f}" for x in middle[:4]), *(f"{x:.0f}" for x in middle[4:])]
        table.append(["*median*", *figures, "", "", ""])
    header = [
        *("network", "step, batch 64", "of T = 16", "in bf16", "in eager code"),
        *("T = 32, batch 1", "T = 16", "linear operators", "sites", "peak MiB, T = 16 / 256"),
    ]
    return markdown_table(header, table)


def speed_summary() -> str:
    """What users ask first: a step, a single image, and how much faster than the paper's code."""
    faster = {row["model"]: f"{row['faster']:.1f}" for row in read("peers", missing=[])}
    table = [
        [
            FAMILIES[row["model"]],
            f"{row['float32_batch_64']['step_per_forward']:.2f}",
            f"{row['float32_batch_1']['run_ms']:.1f}",
            faster.get(row["model"], MISSING),
        ]
        for row in read("speed", missing=[])
    ]
    header = [
        *("network", "a time step of 64 images, in forwards of the ANN"),
        *("32 time steps of one image, ms", "times faster than the paper's package"),
    ]
    return markdown_table(header, table)


def peers() -> str:
    """Simulation of the same steps by the paper's own package and by ours."""
    rows = [
        [
            FAMILIES[row["model"]],
            f"{row['forward_ms']:.2f}",
            f"{row['ours_ms']:.0f}",
            f"{row['snn_signgd_ms']:.0f}",
            f"{row['faster']:.1f}",
        ]
        for row in read("peers", missing=[])
    ]
    header = ["network", "a forward, ms", "ours, ms", "snn_signgd, ms", "times faster"]
    return markdown_table(header, rows)


def _paper_rows(method: str, spikes: str) -> list[list[str]]:
    """Top-1 and relative error by T, a line for every network of the paper's table."""
    found = {
        (row["model"], row["time_steps"]): row
        for row in read("paper_table", missing=[])
        if (row["method"], row["spikes"]) == (method, spikes)
    }
    text = "{top1:.1f} ({relative_error:.4f})"
    return [
        [cell(found.get((f"digits_{name}", steps)), text) for steps in TIME_STEPS]
        for name in FAMILIES
    ]


def _paper_table(methods: Sequence[str], spikes: str) -> str:
    columns = [_paper_rows(method, spikes) for method in methods]
    rows = [
        [family, *(cell for row in cells for cell in row)]
        for family, cells in zip(FAMILIES.values(), zip(*columns, strict=True), strict=True)
    ]
    titles = [f"{method}, T = {steps}" for method in methods for steps in TIME_STEPS]
    return markdown_table(["network", *titles], rows)


def paper_summary() -> str:
    """Ours against the paper's preset, binary spikes."""
    return _paper_table(("paper", "ours"), "binary")


def exponential() -> str:
    """The best exponential schedule, binary spikes."""
    return _paper_table(("exponential",), "binary")


def ternary() -> str:
    """Every method, ternary spikes."""
    return "\n\n".join(_paper_table((method,), "ternary") for method in METHODS)


TABLES: dict[str, Callable[[], str]] = {
    "accuracy": accuracy,
    "baselines": baselines,
    "same steps": same_steps,
    "ablation": ablation,
    "calibration": calibration,
    "paper size": paper_size,
    "speed": speed,
    "speed summary": speed_summary,
    "peers": peers,
    "cost by time steps": partial(curve, "time steps", FAMILIES),
    "cost by samples": partial(curve, "samples", FAMILIES),
    "cost by threads": partial(curve, "threads", FAMILIES),
    "speed by samples": partial(curve, "samples", FAMILIES, "of_dense_speed"),
    "cost by depth": partial(sweep, "depth"),
    "cost by width": partial(sweep, "width"),
    "torchvision": torchvision,
    "torchvision speed": torchvision_speed,
    "paper table": paper_summary,
    "paper table, exponential": exponential,
    "paper table, ternary": ternary,
}


def filled(text: str) -> str:
    """`text` with every table between its markers."""
    for marker, table in TABLES.items():
        begin, end = f"<!-- {marker} -->", f"<!-- end {marker} -->"
        if begin in text:
            before, rest = text.split(begin)
            text = before + f"{begin}\n{table()}\n{end}" + rest.split(end)[1]
    return text


def main() -> None:
    """Write the tables into the pages."""
    for page in PAGES:
        path = ROOT / page
        path.write_text(filled(path.read_text()))


if __name__ == "__main__":
    main()
