"""What the cost of a simulation depends on: time steps, samples, threads, depth and width.

python -m benchmarks.curves [--rounds 5]

The zoo's networks give the first three curves, plain convolutional networks with seeded weights
the other two; the ANN runs in onnxruntime, and those in PyTorch as well. Beside each stands how
fast the ANN's multiply-accumulates are simulated, against those of a large matrix product in
PyTorch on as many threads: the floor of all that multiplies. Turns are as in benchmarks.speed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import onnx2snn
from benchmarks.results import write
from benchmarks.speed import BATCH, MODELS, NAMES, TIME_STEPS, open_ann, ratio, spiking_file
from models.zoo import export

STEPS = (1, 2, 4, 8, 16, 32, 64)
BATCHES = (1, 2, 4, 16, 64, 256)
THREADS = (1, 2)
DEPTHS, WIDTHS = (2, 4, 8, 16, 32), (8, 16, 32, 64, 128)
DEPTH, WIDTH, SIZE, SAMPLES = 8, 32, 16, 16
SQUARE = 1024

Row = dict[str, Any]


def _product(square: Tensor) -> Callable[[], Tensor]:
    return partial(torch.mm, square, square)


def against(
    ann: Callable[[], Any], snn: Callable[[], Any], steps: int, macs: int, rounds: int
) -> Row:
    """A step in forwards, and its multiply-accumulates per second over a matrix product's.

    macs: of one forward.
    """
    found = ratio(ann, snn, rounds)
    whole = found.pop("ratio")
    products = ratio(_product(torch.rand(SQUARE, SQUARE)), snn, rounds).pop("ratio")
    row = {**found, "step_per_forward": round(whole / steps, 3)}
    return {**row, "of_dense_speed": round(macs * steps / (SQUARE**3 * products), 3)}


def macs_of(session: onnx2snn.SpikingSession, feed: dict[str, Any]) -> int:
    """Multiply-accumulates of one forward of the ANN on this input."""
    (point,) = session.simulate(feed, [1])
    return point.account.ann_macs


def zoo_curves(name: str, folder: Path, rounds: int) -> Iterator[Row]:
    """Time steps, samples and threads, for one network of the zoo."""
    path = MODELS / f"digits_{name}.onnx"
    file = spiking_file(path, folder, max(STEPS), tuning=0)
    images = np.load(MODELS / "digits_test.npz")["image"]

    def row(curve: str, at: int, steps: int, samples: int, threads: int) -> Row:
        torch.set_num_threads(threads)
        ann, session = open_ann(path, threads), onnx2snn.SpikingSession(file, device="cpu")
        feed = {"image": np.ascontiguousarray(images[:samples])}
        macs = macs_of(session, feed)
        simulate = partial(session.run, None, feed, time_steps=steps)
        figures = against(partial(ann.run, None, feed), simulate, steps, macs, rounds)
        return {"curve": curve, "model": name, "at": at, **figures}

    most = max(THREADS)
    for steps in STEPS:
        yield row("time steps", steps, steps, BATCH, most)
    for samples in BATCHES:
        yield row("samples", samples, TIME_STEPS, samples, most)
    for threads in THREADS:
        yield row("threads", threads, TIME_STEPS, BATCH, threads)
    torch.set_num_threads(most)


def plain_network(depth: int, width: int) -> nn.Module:
    """Convolutions of 3 x 3 and Relu on images of one size, then a linear layer; seeded weights."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [nn.Conv2d(width if i else 3, width, 3, padding=1), nn.ReLU()]
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)
    ).eval()


def plain_row(curve: str, at: int, depth: int, width: int, folder: Path, rounds: int) -> Row:
    """One plain network against onnxruntime, and against PyTorch."""
    network, path = plain_network(depth, width), folder / f"plain_{depth}_{width}.onnx"
    export(network, path, (3, SIZE, SIZE))
    images = np.random.default_rng(0).standard_normal((SAMPLES, 3, SIZE, SIZE)).astype("f")
    feed, tensor = {"image": images}, torch.from_numpy(images)
    model = onnx2snn.convert(path, feed, time_steps=TIME_STEPS, tuning=0, bypass="linear")
    session = onnx2snn.SpikingSession(model, device="cpu")
    simulate, macs = partial(session.run, None, feed), macs_of(session, feed)
    ann = open_ann(path, torch.get_num_threads())
    row = against(partial(ann.run, None, feed), simulate, TIME_STEPS, macs, rounds)

    def forward() -> Tensor:
        with torch.inference_mode():
            result: Tensor = network(tensor)
            return result

    eager = ratio(forward, simulate, rounds)["ratio"]
    row["step_per_torch_forward"] = round(eager / TIME_STEPS, 3)
    return {"curve": curve, "model": "plain", "at": at, **row}


def main() -> None:
    """Measure all curves and write benchmarks/results/curves.json."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(max(THREADS))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        zoo = (row for network in NAMES for row in zoo_curves(network, folder, rounds))
        sweeps = [("depth", depth, depth, WIDTH) for depth in DEPTHS]
        sweeps += [("width", width, DEPTH, width) for width in WIDTHS]
        plain = (plain_row(*sweep, folder, rounds) for sweep in sweeps)
        for row in chain(zoo, plain):
            rows.append({**row, "load_average": [round(x, 1) for x in os.getloadavg()]})
            print(rows[-1], flush=True)
    print(write("curves", "python -m benchmarks.curves", rows))


if __name__ == "__main__":
    main()
