"""`onnx2snn convert`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import onnx

from onnx2snn.calibration.choose import SCHEDULE_NAMES
from onnx2snn.cli.neurons import neuron_options
from onnx2snn.cli.options import PATH, POSITIVE_OR_AUTO, debug_option, force_option, stages
from onnx2snn.cli.tables import coverage_table
from onnx2snn.conversion import convert
from onnx2snn.data import LABELS, read_arrays
from onnx2snn.files import check_output
from onnx2snn.inspection import inspect_model
from onnx2snn.ops.dynamics import ALPHABETS
from onnx2snn.ops.errors import UsageError
from onnx2snn.rules import BYPASSES
from onnx2snn.saving import save


@click.command("convert")
@click.argument("model", type=PATH)
@click.option("-o", "--output", type=PATH, help="Output file [default: MODEL.snn.onnx].")
@click.option(
    "--time-steps",
    type=POSITIVE_OR_AUTO,
    default="32",
    show_default=True,
    help="T, or auto: the fewest that keep to --tolerance.",
)
@click.option(
    "--tolerance",
    type=float,
    default=1.0,
    show_default=True,
    help="Disagreement with the ANN that auto allows, percent of the calibration data.",
)
@click.option("--calibration", type=PATH, help=".npz with samples, keyed by input name.")
@click.option(
    "--schedule", type=click.Choice(SCHEDULE_NAMES), default="calibrated", show_default=True
)
@click.option("--step-size", type=float, help="First step size of a closed-form schedule.")
@click.option("--decay", type=float, help="Decay of the exponential schedule.")
@click.option("--spikes", type=click.Choice(list(ALPHABETS)), default="binary", show_default=True)
@click.option(
    "--layer-norm",
    type=click.Choice(["fused", "decomposed"]),
    show_default="fused",
    help="LayerNormalization and its kin as one site, or as the paper's two.",
)
@click.option(
    "--softmax",
    type=click.Choice(["fused", "decomposed"]),
    default="fused",
    show_default=True,
    help="Softmax as one site, or as the paper's two: powers and their share of the sum.",
)
@click.option(
    "--max-pool",
    type=click.Choice(["tree", "fused"]),
    default="fused",
    show_default=True,
    help="MaxPool as the paper's tree of sites with two inputs, or as one site per window.",
)
@click.option(
    "--bypass",
    type=click.Choice(list(BYPASSES)),
    show_default="none with windows, residual below 8 ternary steps, all below 32 "
    "and below 64 in small deep networks, else linear",
    help="What passes by neurons, which send the rest: shortcuts of residual sums, linear parts.",
)
@click.option(
    "--quantization",
    type=click.Choice(["exact", "smooth"]),
    default="exact",
    show_default=True,
    help="Of a quantised model: each rounding as a site, or only those that are activations.",
)
@click.option(
    "--tuning",
    type=click.IntRange(min=0),
    help="Steps of end-to-end tuning [default: by the model's size, none above T = 48].",
)
@click.option(
    "--windows",
    metavar="synchronous|sequential|F",
    default="synchronous",
    show_default=True,
    help="Let sites fire all at once, one after another, or in between (0 to 1).",
)
@neuron_options
@click.option("--exclude", multiple=True, help="Node name or operator to leave analog.")
@click.option("--strict", is_flag=True, help="Fail if a node stays analog.")
@force_option
@debug_option
def convert_command(
    model: Path, output: Path | None, calibration: Path | None, force: bool, **settings: Any
) -> None:
    """Convert MODEL to a spiking graph file."""
    output = output or model.with_suffix(".snn.onnx")
    if output.resolve() == model.resolve():
        raise UsageError(f"the output {output} is the model itself; name another file with -o")
    check_output(output, force=force)
    arrays = None
    if calibration is not None:
        arrays = {k: v for k, v in read_arrays(calibration).items() if k != LABELS}
    with stages() as report:
        spiking = convert(model, arrays, progress=report, **settings)
    save(spiking, output, force=force)
    click.echo(coverage_table(inspect_model(spiking)))
    click.echo(summary(output, spiking))


def summary(output: Path, spiking: onnx.ModelProto) -> str:
    """What was written: T, why this T where it was searched for, and latency where it is more."""
    metadata = {entry.key: entry.value for entry in spiking.metadata_props}
    time_steps, latency = (metadata[f"onnx2snn.{key}"] for key in ("time_steps", "latency"))
    text = f"wrote {output}: T = {time_steps}"
    if latency != time_steps:
        text += f", latency {latency} steps"
    tried = json.loads(metadata["onnx2snn.calibration"])["disagreement"]
    if tried:
        found = ", ".join(f"T = {t}: {percent:.1f} %" for t, percent in tried.items())
        text += f"\nfewest steps within the tolerance; disagreement with the ANN at {found}"
    return text
