"""`onnx2snn export`."""

from __future__ import annotations

from pathlib import Path

import click

from onnx2snn import files
from onnx2snn.cli.options import PATH, POSITIVE, debug_option, force_option
from onnx2snn.export import export
from onnx2snn.files import check_output
from onnx2snn.neuromorphic import nir_bytes
from onnx2snn.ops.errors import UsageError
from onnx2snn.runtime.loading import load_model
from onnx2snn.runtime.session import PRECISIONS
from onnx2snn.saving import save


@click.command("export")
@click.argument("model", type=PATH)
@click.option(
    "--to",
    "form",
    type=click.Choice(["onnx-loop", "onnx-step", "nir"]),
    required=True,
    help="All time steps in one model, one step as a model and its start as another, or NIR.",
)
@click.option("-o", "--output", type=PATH, required=True, help="Output file.")
@click.option("--time-steps", type=POSITIVE, help="T [default: all the file holds].")
@click.option(
    "--precision",
    type=click.Choice(list(PRECISIONS)),
    default="float32",
    show_default=True,
    help="Type of states and weights.",
)
@click.option("--spikes", is_flag=True, help="Add one output per site with its spikes.")
@force_option
@debug_option
def export_command(
    model: Path,
    form: str,
    output: Path,
    time_steps: int | None,
    precision: str,
    spikes: bool,
    force: bool,
) -> None:
    """Write the time steps of the spiking file MODEL as standard ONNX, or its neurons as NIR.

    onnx-step also writes OUT.init.onnx, which makes the first states from the inputs. nir takes
    networks of IF or LIF neurons, and is without time steps.
    """
    paths = {form: output}
    if form == "onnx-step":
        paths["onnx-init"] = output.with_suffix(".init.onnx")
    for path in paths.values():
        if path.resolve() == model.resolve():
            raise UsageError(f"the output {path} is the model itself; name another file with -o")
        check_output(path, force=force)
    if form == "nir":
        _write_nir(model, output, time_steps is not None or spikes, force)
        return
    exported = {
        kind: export(model, kind, time_steps=time_steps, precision=precision, spikes=spikes)
        for kind in paths
    }
    for kind, path in paths.items():
        save(exported[kind], path, force=force)
        click.echo(f"wrote {path}")


def _write_nir(model: Path, output: Path, of_steps: bool, force: bool) -> None:
    if of_steps:
        raise UsageError("--time-steps and --spikes mean nothing to NIR, which has no time steps")
    data = nir_bytes(load_model(model))
    files.write(output, lambda stream: stream.write(data), force=force)
    click.echo(f"wrote {output}")
