"""`onnx2snn convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from onnx2snn import conversion
from onnx2snn.calibration.choose import SCHEDULE_NAMES
from onnx2snn.cli.options import PATH, POSITIVE, debug_option, force_option, progress
from onnx2snn.cli.tables import coverage_table
from onnx2snn.data import LABELS, read_arrays
from onnx2snn.files import check_output
from onnx2snn.inspection import inspect_model
from onnx2snn.ops.dynamics import ALPHABETS
from onnx2snn.ops.errors import UsageError


@click.command("convert")
@click.argument("model", type=PATH)
@click.option("-o", "--output", type=PATH, help="Output file [default: MODEL.snn.onnx].")
@click.option("--time-steps", type=POSITIVE, default=32, show_default=True, help="T.")
@click.option("--calibration", type=PATH, help=".npz with samples, keyed by input name.")
@click.option(
    "--schedule", type=click.Choice(SCHEDULE_NAMES), default="calibrated", show_default=True
)
@click.option("--step-size", type=float, help="First step size of a closed-form schedule.")
@click.option("--decay", type=float, help="Decay of the exponential schedule.")
@click.option("--spikes", type=click.Choice(list(ALPHABETS)), default="binary", show_default=True)
@click.option(
    "--layer-norm",
    type=click.Choice(["decomposed", "fused"]),
    default="decomposed",
    show_default=True,
    help="LayerNormalization as the paper's two sites, or as one.",
)
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
    with progress("calibrating") as report:
        spiking = conversion.convert(
            model,
            arrays,
            progress=lambda stage, done, total: report(done, total),
            **settings,
        )
    conversion.save(spiking, output, force=force)
    click.echo(coverage_table(inspect_model(spiking)))
    click.echo(f"wrote {output}: T = {settings['time_steps']}")
