"""Markdown tables of README, made from the files in results/.

python -m benchmarks.tables writes them between README's markers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.results import read

FAMILIES = {
    "digits_convnext": "ConvNeXt",
    "digits_mlp_mixer": "MLP-Mixer",
    "digits_resmlp": "ResMLP",
    "digits_regnet": "RegNetX",
    "digits_vgg": "VGG, max pooling",
    "digits_resnet": "ResNet, max pooling",
}


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def accuracy(spikes: str) -> str:
    """Top-1 and relative error of the digits networks over T."""
    points = {(r["model"], r["time_steps"]): r for r in read(f"accuracy_{spikes}")}
    steps = sorted({t for _, t in points})
    rows = []
    for name, family in FAMILIES.items():
        cells = [points[name, t] for t in steps]
        shown = [f"{c['top1']:.1f} ({c['relative_error']:.3f})" for c in cells]
        rows.append([family, f"{cells[0]['ann_top1']:.1f}", *shown])
    return _table(["network", "ANN", *(f"T = {t}" for t in steps)], rows)


def paper_size() -> str:
    """Conversion and run of the paper's configurations."""
    rows = [
        [
            row["model"],
            str(row["sites"]),
            str(row["analog"]),
            f"{row['conversion_seconds']:.0f} s",
            f"{row['run_seconds']:.1f} s",
            f"{row['peak_gib']:.1f} GiB",
        ]
        for row in read("paper_size")
    ]
    header = ["network", "sites", "analog nodes", "conversion", "run", "peak memory"]
    return _table(header, rows)


def tables() -> dict[str, str]:
    """Every table by its marker in README."""
    return {
        "accuracy binary": accuracy("binary"),
        "accuracy ternary": accuracy("ternary"),
        "paper size": paper_size(),
    }


def filled(text: str) -> str:
    """`text` with every table between its markers."""
    for marker, table in tables().items():
        begin, end = f"<!-- {marker} -->", f"<!-- end {marker} -->"
        before, rest = text.split(begin)
        text = before + f"{begin}\n{table}\n{end}" + rest.split(end)[1]
    return text


def main() -> None:
    """Write the tables into README."""
    readme = Path(__file__).parents[1] / "README.md"
    readme.write_text(filled(readme.read_text()))


if __name__ == "__main__":
    main()
