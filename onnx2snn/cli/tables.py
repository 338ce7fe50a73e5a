"""Plain-text tables of the reports."""

from __future__ import annotations

from collections.abc import Sequence

from onnx2snn.coverage import ROLES, Coverage
from onnx2snn.evaluation import EarlyExit, Evaluation
from onnx2snn.layers import Layer


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Columns aligned: the first `left` to the left, the others to the right."""
    widths = [max(len(line[i]) for line in (header, *rows)) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        aligned = (
            cell.ljust(w) if i < left else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(aligned).rstrip()

    return "\n".join(line(cells) for cells in (header, *rows))


def coverage_table(report: Coverage) -> str:
    """Nodes per operator type and role, the total, and why analog nodes are analog."""
    rows = [
        [op_type, *(str(counts[role] or "-") for role in ROLES)]
        for op_type, counts in sorted(report.by_op_type().items())
    ]
    rows.append(["total", *(str(report.counts[role]) for role in ROLES)])
    text = table(["operator", *ROLES], rows)
    reasons = [f"analog: {n.name} ({n.op_type}): {n.reason}" for n in report.analog]
    return "\n".join([text, *reasons])


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def evaluation_table(result: Evaluation) -> str:
    """Accuracy over time steps, below the ANN's."""
    header = [
        *("T", "top-1 %", "agreement %", "relative error"),
        *("spike rate", "spikes / neuron", "SOPs", "energy / ANN"),
    ]
    rows = [["ANN", _percent(result.ann_top1), "100.00", "0", "-", "-", "-", "1"]]
    for row in result.rows:
        rows.append(
            [
                str(row.time_steps),
                _percent(row.top1),
                _percent(row.agreement),
                f"{row.relative_error:.4f}",
                f"{row.spike_rate:.3f}",
                f"{row.spikes_per_neuron:.2f}",
                f"{row.sops:.3g}",
                f"{row.energy_ratio:.2f}",
            ]
        )
    return table(header, rows)


def early_exit_line(early: EarlyExit) -> str:
    """What early exit saves and costs, in one line."""
    parts = [
        f"early exit: mean T {early.mean_time_steps:.2f}",
        f"top-1 {_percent(early.top1)} %",
        f"agreement {early.agreement:.2f} %",
        f"relative error {early.relative_error:.4f}",
    ]
    return ", ".join(parts)


def layer_table(layers: Sequence[Layer]) -> str:
    """Relative error of every site over time steps; saturation and spike rate after the last."""
    steps = [point.time_steps for point in layers[0].points]
    errors = [f"error T={t}" for t in steps]
    header = ["site", "operator", "neurons", *errors, "saturated %", "spike rate"]
    rows = []
    for layer in layers:
        last = layer.points[-1]
        found = [point.relative_error for point in layer.points]
        rows.append(
            [
                layer.site,
                layer.op_type,
                str(layer.neurons),
                *("-" if error is None else f"{error:.4f}" for error in found),
                f"{last.saturation:.2f}",
                f"{last.spike_rate:.3f}",
            ]
        )
    title = f"sites, worst first; saturation and spike rate at T = {steps[-1]}"
    return "\n".join([title, table(header, rows, left=2)])
