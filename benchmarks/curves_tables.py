"""Tables of what the cost of a simulation depends on, from results/curves.json."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.markdown import markdown_table
from benchmarks.results import read

FIGURES = {
    "step_per_forward": "step / forward",
    "step_per_torch_forward": "step / forward in PyTorch",
    "of_dense_speed": "speed / matrix product",
}


def curve(name: str, families: Mapping[str, str], figure: str = "step_per_forward") -> str:
    """A figure along a curve, a line for every network of the zoo."""
    rows = [row for row in read("curves", missing=[]) if row["curve"] == name]
    places = list(dict.fromkeys(row["at"] for row in rows))
    found = {(row["model"], row["at"]): f"{row[figure]:.2f}" for row in rows}
    table = [
        [family, *(found.get((model, at), "-") for at in places)]
        for model, family in families.items()
    ]
    return markdown_table([name, *map(str, places)], table)


def sweep(name: str) -> str:
    """All figures of the plain networks along a curve, a line for each."""
    rows = [row for row in read("curves", missing=[]) if row["curve"] == name]
    table = [[title, *(f"{row[key]:.2f}" for row in rows)] for key, title in FIGURES.items()]
    return markdown_table([name, *(str(row["at"]) for row in rows)], table)
