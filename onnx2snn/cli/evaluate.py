"""`onnx2snn evaluate`."""

from __future__ import annotations

from pathlib import Path

import click

from onnx2snn import files
from onnx2snn.calibration.ann import open_onnxruntime
from onnx2snn.cli.inspect import write_json
from onnx2snn.cli.options import (
    PATH,
    POSITIVE,
    STEPS,
    debug_option,
    device_options,
    force_option,
    progress,
)
from onnx2snn.cli.session import open_spiking
from onnx2snn.cli.tables import evaluation_table, layer_table
from onnx2snn.data import read_arrays, split_labels
from onnx2snn.evaluation import evaluate
from onnx2snn.layers import LayerTally
from onnx2snn.runtime import SpikingSession
from onnx2snn.runtime.loading import load_model


def _default_steps(session: SpikingSession) -> tuple[int, ...]:
    """Powers of two from 4 and the last step; only that where sites wait for one another."""
    latency = session.time_steps
    powers = (2**k for k in range(2, latency.bit_length()))
    return (latency,) if session.window < latency else tuple(sorted({*powers, latency}))


@click.command("evaluate")
@click.argument("model", type=PATH)
@click.option("--data", type=PATH, required=True, help=".npz with inputs and optional 'labels'.")
@click.option("--ann", type=PATH, help="The ANN [default: the spiking file's own limit].")
@click.option("--at", type=STEPS, help="Time steps to report [default: 4,8,16,.. to T].")
@click.option("--limit", type=POSITIVE, help="Use only the first N samples.")
@click.option("--batch-size", type=POSITIVE, default=64, show_default=True)
@click.option(
    "--layers",
    is_flag=True,
    help="Also hold every site (population of neurons) against the file's own limit.",
)
@click.option("--json", "json_path", type=PATH, help="Also write the report to this file.")
@device_options
@force_option
@debug_option
def evaluate_command(
    model: Path,
    data: Path,
    ann: Path | None,
    at: tuple[int, ...] | None,
    limit: int | None,
    batch_size: int,
    layers: bool,
    json_path: Path | None,
    device: str,
    precision: str,
    force: bool,
) -> None:
    """Compare the spiking file MODEL with its ANN on labelled data."""
    if json_path:
        files.check_output(json_path, force=force)
    session = open_spiking(model, device, precision)
    feed, labels = split_labels(read_arrays(data), session.get_inputs())
    feed = {name: array[:limit] if array.ndim else array for name, array in feed.items()}
    with progress("evaluating") as report:
        result = evaluate(
            session,
            open_onnxruntime(load_model(ann or model)),
            feed,
            None if labels is None else labels[:limit],
            at or _default_steps(session),
            batch_size=batch_size,
            progress=report,
            layers=LayerTally(session, load_model(model)) if layers else None,
        )
    if session.window < session.time_steps:
        click.echo(f"every site fires in {session.window} of {session.time_steps} time steps")
    click.echo(evaluation_table(result))
    if result.layers:
        click.echo(f"\n{layer_table(result.layers)}")
    if json_path:
        timing = {"window": session.window, "latency": session.time_steps}
        write_json(json_path, {**result.to_json(), **timing}, force=force)
