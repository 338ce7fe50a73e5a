"""`onnx2snn inspect`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from onnx2snn import files
from onnx2snn.cli.options import PATH, debug_option, force_option
from onnx2snn.cli.tables import coverage_table
from onnx2snn.inspection import inspect_model


def write_json(path: Path, content: object, *, force: bool) -> None:
    """Write a report as JSON, whole or not at all."""
    text = json.dumps(content, indent=1) + "\n"
    files.write(path, lambda stream: stream.write(text.encode()), force=force)


@click.command("inspect")
@click.argument("model", type=PATH)
@click.option("--json", "json_path", type=PATH, help="Also write the report to this file.")
@force_option
@debug_option
def inspect_command(model: Path, json_path: Path | None, force: bool) -> None:
    """Print what becomes of every node of MODEL, a plain or a spiking one."""
    if json_path:
        files.check_output(json_path, force=force)
    report = inspect_model(model)
    click.echo(coverage_table(report))
    if json_path:
        write_json(json_path, report.to_json(), force=force)
