"""The tables of torchvision's networks, made from the files in results/."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from benchmarks.markdown import markdown_table
from benchmarks.results import read

Row = Mapping[str, Any]


def torchvision_speed() -> str:
    """Simulation of networks of real size against forwards of the ANN in onnxruntime."""
    rows = [
        [row["model"], f"{row['forward_ms']:.0f}", f"{row['step_per_forward']:.2f}"]
        for row in read("torchvision_speed", missing=[])
    ]
    return markdown_table(["network", "a forward, ms", "step / forward"], rows)


def torchvision() -> str:
    """Coverage of torchvision's classifiers by exporter and opset, and errors at T = 32."""
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in sorted(read("torchvision"), key=lambda row: (row["exporter"], row["opset"])):
        groups.setdefault((row["exporter"], row["opset"]), []).append(row)
    lines = []
    for (exporter, opset), rows in groups.items():
        done = [row for row in rows if "failure" not in row]
        errors = [row["relative_error"] for row in done if "relative_error" in row]
        lines.append(
            [
                f"{exporter}, opset {opset}",
                str(len(done)) if len(done) == len(rows) else f"{len(done)} of {len(rows)}",
                str(sum(row["spiking"] for row in done)),
                str(sum(row["analog"] for row in done)),
                str(len(errors)) if errors else "-",
                f"{median(errors):.4f}" if errors else "-",
                f"{max(errors):.4f}" if errors else "-",
            ]
        )
    header = ["exporter", "networks", "spiking nodes", "analog nodes"]
    return markdown_table([*header, "measured at T = 32", "median error", "largest error"], lines)
