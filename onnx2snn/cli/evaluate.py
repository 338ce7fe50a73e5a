"""`onnx2snn evaluate`."""

from __future__ import annotations

import hashlib
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
    speed_options,
)
from onnx2snn.cli.session import open_spiking
from onnx2snn.cli.tables import early_exit_line, evaluation_table, layer_table
from onnx2snn.evaluation import Evaluation, evaluate
from onnx2snn.layers import LayerTally
from onnx2snn.ops.errors import UsageError
from onnx2snn.runtime import SpikingSession
from onnx2snn.runtime.loading import load_model
from onnx2snn.samples import open_samples
from onnx2snn.shares import Ledger, join_workers, leave_workers


def _default_steps(session: SpikingSession) -> tuple[int, ...]:
    """Powers of two from 4 and the last step; only that where sites wait for one another."""
    latency = session.time_steps
    powers = (2**k for k in range(2, latency.bit_length()))
    return (latency,) if session.window < latency else tuple(sorted({*powers, latency}))


@click.command("evaluate")
@click.argument("model", type=PATH)
@click.option(
    "--data",
    type=PATH,
    required=True,
    help=".npz with inputs and optional 'labels'; or a folder of such files, read in the order of "
    "their names; or a folder of .npy files named after them.",
)
@click.option("--ann", type=PATH, help="The ANN [default: the spiking file's own limit].")
@click.option("--at", type=STEPS, help="Time steps to report [default: 4,8,16,.. to T].")
@click.option("--limit", type=POSITIVE, help="Use only the first N samples.")
@click.option("--batch-size", type=POSITIVE, default=64, show_default=True)
@click.option(
    "--layers",
    is_flag=True,
    help="Also hold every site (population of neurons) against the file's own limit.",
)
@click.option(
    "--early-exit",
    type=POSITIVE,
    metavar="N",
    help="Also let each sample end once its class is what it was N steps before.",
)
@click.option(
    "--resume",
    type=PATH,
    help="Keep finished batches in this file; those already there are not done again.",
)
@click.option("--json", "json_path", type=PATH, help="Also write the report to this file.")
@device_options
@speed_options
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
    early_exit: int | None,
    resume: Path | None,
    json_path: Path | None,
    device: str,
    precision: str,
    memory: int | None,
    compile: bool,
    force: bool,
) -> None:
    """Compare the spiking file MODEL with its ANN on labelled data."""
    if json_path:
        files.check_output(json_path, force=force)
    session = open_spiking(model, device, precision, memory, compile)
    samples = open_samples(data, session.get_inputs(), limit)
    steps = at or _default_steps(session)
    workers = join_workers()
    if layers and (resume or workers.count > 1):
        raise UsageError("--layers goes neither with --resume nor with several processes")
    limit_model = load_model(ann or model)
    identity = {
        "model": _digest(model),
        "ann": _digest(ann or model),
        "data": str(data.resolve()),
        "samples": samples.count,
        "at": list(steps),
        "batch_size": batch_size,
        "early_exit": early_exit,
        "precision": precision,
    }
    with progress("evaluating") as report:
        result = evaluate(
            session,
            open_onnxruntime(limit_model),
            samples,
            None,
            steps,
            batch_size=batch_size,
            progress=report,
            layers=LayerTally(session, load_model(model)) if layers else None,
            early_exit=early_exit,
            ledger=Ledger(resume, identity, workers) if resume else None,
            workers=workers,
        )
    leave_workers()
    if workers.rank == 0:
        _report(result, session, json_path, force)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _report(
    result: Evaluation, session: SpikingSession, json_path: Path | None, force: bool
) -> None:
    if session.window < session.time_steps:
        click.echo(f"every site fires in {session.window} of {session.time_steps} time steps")
    click.echo(evaluation_table(result))
    if result.early_exit:
        click.echo(early_exit_line(result.early_exit))
    if result.layers:
        click.echo(f"\n{layer_table(result.layers)}")
    if json_path:
        timing = {"window": session.window, "latency": session.time_steps}
        write_json(json_path, {**result.to_json(), **timing}, force=force)
