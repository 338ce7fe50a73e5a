"""`onnx2snn run`."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from onnx2snn import files
from onnx2snn.cli.options import (
    PATH,
    POSITIVE,
    STEPS,
    debug_option,
    device_options,
    force_option,
    progress,
    speed_options,
)
from onnx2snn.cli.session import open_spiking
from onnx2snn.data import LABELS, read_arrays, write_arrays
from onnx2snn.ops.errors import UsageError


@click.command("run")
@click.argument("model", type=PATH)
@click.option("--input", "input_path", type=PATH, required=True, help=".npz keyed by input name.")
@click.option("--output", type=PATH, help=".npz to write, keyed by output name.")
@click.option("--time-steps", type=POSITIVE, help="T [default: all the file holds].")
@click.option("--at", type=STEPS, help="Record after each of these steps, e.g. 8,16,32.")
@device_options
@speed_options
@force_option
@debug_option
def run_command(
    model: Path,
    input_path: Path,
    output: Path | None,
    time_steps: int | None,
    at: tuple[int, ...] | None,
    device: str,
    precision: str,
    memory: int | None,
    compile: bool,
    force: bool,
) -> None:
    """Run the spiking file MODEL on the arrays of an .npz file."""
    if time_steps and at:
        raise UsageError("--time-steps and --at exclude each other")
    if output:
        files.check_output(output, force=force)
    session = open_spiking(model, device, precision, memory, compile)
    arrays = read_arrays(input_path)
    names = {info.name for info in session.get_inputs()}
    feed = {k: v for k, v in arrays.items() if k in names or k != LABELS}
    steps = at or (time_steps or session.time_steps,)
    with progress("running") as report:
        points = session.simulate(feed, steps, lambda t: report(t, steps[-1]))
    outputs = {}
    for info in session.get_outputs():
        stacked = np.stack([point.outputs[info.name] for point in points])
        outputs[info.name] = stacked if at else stacked[0]
        click.echo(f"{info.name}: shape {list(outputs[info.name].shape)}")
    if output:
        write_arrays(output, outputs, force=force)
        click.echo(f"wrote {output}")
