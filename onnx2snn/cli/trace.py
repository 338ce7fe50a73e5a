"""`onnx2snn trace`."""

from __future__ import annotations

from pathlib import Path

import click

from onnx2snn import files
from onnx2snn.cli.options import PATH, POSITIVE, debug_option, device_options, force_option
from onnx2snn.cli.session import open_spiking
from onnx2snn.cli.tables import table
from onnx2snn.data import read_arrays, split_labels
from onnx2snn.ops.errors import UsageError
from onnx2snn.plot import plot_trace
from onnx2snn.trace import Trace, one_sample, trace

IMAGES = (".png", ".svg", ".pdf")


class NeuronIndex(click.ParamType[tuple[int, ...]]):
    """The index of a neuron, e.g. 12, or one index per axis, e.g. 3,0,7."""

    name = "index"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Whole numbers, not negative."""
        parts = str(value).split(",")
        if not all(part.strip().isdecimal() for part in parts):
            self.fail(f"'{value}' is no index such as 12 or 3,0,7", param, ctx)
        return tuple(int(part) for part in parts)


@click.command("trace")
@click.argument("model", type=PATH)
@click.option("--input", "input_path", type=PATH, required=True, help=".npz keyed by input name.")
@click.option("--site", required=True, help="Population of neurons, as `evaluate --layers` has it.")
@click.option(
    "--neuron", type=NeuronIndex(), required=True, help="Index within one sample: 12, or 3,0,7."
)
@click.option("--sample", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--time-steps", type=POSITIVE, help="T [default: all the file holds].")
@click.option("-o", "--output", type=PATH, help="A .csv file, or with matplotlib a .png file.")
@device_options
@force_option
@debug_option
def trace_command(
    model: Path,
    input_path: Path,
    site: str,
    neuron: tuple[int, ...],
    sample: int,
    time_steps: int | None,
    output: Path | None,
    device: str,
    precision: str,
    force: bool,
) -> None:
    """Print what one neuron of the spiking file MODEL does over time."""
    if output:
        files.check_output(output, force=force)
        if output.suffix not in (".csv", *IMAGES):
            raise UsageError(f"{output} is neither .csv nor one of {', '.join(IMAGES)}")
    session = open_spiking(model, device, precision, compile=False)
    feed, _ = split_labels(read_arrays(input_path), session.get_inputs())
    alone = one_sample(feed, sample)
    found = trace(session, alone, site, neuron, time_steps=time_steps)
    if output:
        image = output.suffix in IMAGES
        data = plot_trace(found, output.suffix[1:]) if image else found.to_csv().encode()
        files.write(output, lambda stream: stream.write(data), force=force)
        click.echo(f"wrote {output}")
    else:
        click.echo(trace_table(found))


def trace_table(found: Trace) -> str:
    """What the neuron is, and one line per time step."""
    place = ",".join(map(str, found.place))
    rows = [[f"{value:.6g}" for value in row] for row in found.rows()]
    first = f"neuron {place} of {found.site}: {found.target}, v(0) = {found.initial:.6g}"
    return f"{first}\n{table(found.header, rows, left=0)}"
