"""Options of `onnx2snn convert` for the paper's preset and for integrate-and-fire neurons."""

from __future__ import annotations

import click

from onnx2snn.calibration.direct import THRESHOLDS
from onnx2snn.cli.options import Command
from onnx2snn.settings import INPUTS, NEURONS, PRESETS

OPTIONS = (
    click.option(
        "--preset",
        type=click.Choice(PRESETS),
        help="The paper's own code, bit for bit; --step-size and --decay are free.",
    ),
    click.option(
        "--dynamics",
        type=click.Choice(NEURONS),
        default="signgd",
        show_default=True,
        help="signGD, or integrate-and-fire (leaky) for networks of ReLU alone.",
    ),
    click.option(
        "--threshold",
        type=click.Choice(THRESHOLDS),
        default="layer",
        show_default=True,
        help="Thresholds of IF and LIF per layer or channel.",
    ),
    click.option(
        "--percentile",
        type=float,
        default=100.0,
        show_default=True,
        help="Of the ReLU's outputs that a threshold of IF and LIF is.",
    ),
    click.option(
        "--membrane",
        type=float,
        default=0.0,
        show_default=True,
        help="Initial membrane of IF and LIF as a share of the threshold, e.g. 0.5.",
    ),
    click.option(
        "--tau",
        type=float,
        default=10.0,
        show_default=True,
        help="Time constant of LIF in time steps.",
    ),
    click.option(
        "--input",
        type=click.Choice(INPUTS),
        help="As it is; as random spikes, for IF and LIF; or sent by neurons where it would join "
        "spikes [default: spikes where ternary neurons have fewer than 8 steps, else direct].",
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="Of Poisson input."),
)


def neuron_options(command: Command) -> Command:
    """`--preset`, `--dynamics` and what belongs to them, in this order."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command
