"""Speed of ours against the paper's own package, side by side in one run.

python -m benchmarks.peers [--threads 2] [--rounds 5] [NAME...]

T time steps on a batch, by turns: the ANN in onnxruntime, ours, and snn_signgd, the package that
the paper's authors published, with its defaults, where it is installed; figures are medians. The
package has a process of its own, since sessions of ours change how glibc allocates memory. Both
simulate the same number of steps; what they make of them is in docs/fidelity.md.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

import onnx2snn
from benchmarks.paper_baseline import simulation
from benchmarks.results import write
from benchmarks.speed import BATCH, MODELS, NAMES, TIME_STEPS, open_ann, seconds, spiking_file


def _serve(channel: Connection, name: str, threads: int) -> None:
    """Time one run of the package whenever asked; its error at the end."""
    torch.set_num_threads(threads)
    calibration = np.load(MODELS / "digits_calibration.npz")["image"]
    peer = simulation(f"digits_{name}", calibration, TIME_STEPS)
    channel.send(peer is not None)
    if peer is None:
        return
    feed = _feed()
    while channel.recv() == "run":
        channel.send(seconds(partial(peer, feed["image"]), 1))
    (logits,) = open_ann(MODELS / f"digits_{name}.onnx", threads).run(None, feed)
    channel.send(float(np.linalg.norm(peer(feed["image"]) - logits) / np.linalg.norm(logits)))


@contextmanager
def _peer(name: str, threads: int) -> Iterator[Connection | None]:
    """A channel to the package in a process of its own; None where it is missing."""
    context = get_context("spawn")
    channel, other = context.Pipe()
    process = context.Process(target=_serve, args=(other, name, threads), daemon=True)
    process.start()
    other.close()
    try:
        yield channel if channel.recv() else None
    except EOFError:
        raise SystemExit(f"snn_signgd failed on {name}; what it said is above") from None
    finally:
        process.terminate()
        process.join()


def _feed() -> dict[str, Any]:
    return {"image": np.ascontiguousarray(np.load(MODELS / "digits_test.npz")["image"][:BATCH])}


def _asked(channel: Connection) -> float:
    channel.send("run")
    return float(channel.recv())


def measure(
    name: str, threads: int, rounds: int, folder: Path, channel: Connection
) -> dict[str, Any]:
    """One network."""
    feed = _feed()
    path = MODELS / f"digits_{name}.onnx"
    ann = open_ann(path, threads)
    session = onnx2snn.SpikingSession(
        spiking_file(path, folder, TIME_STEPS, tuning=0), device="cpu"
    )
    calls: dict[str, Callable[[], float]] = {
        "forward": lambda: seconds(partial(ann.run, None, feed), 10),
        "ours": lambda: seconds(partial(session.run, None, feed), 1),
        "snn_signgd": partial(_asked, channel),
    }
    turns = [{key: call() for key, call in calls.items()} for _ in range(rounds + 1)][1:]
    channel.send("end")
    return {
        "model": name,
        "threads": threads,
        "batch": BATCH,
        "time_steps": TIME_STEPS,
        **{f"{key}_ms": round(1e3 * median(turn[key] for turn in turns), 2) for key in calls},
        "faster": round(median(turn["snn_signgd"] / turn["ours"] for turn in turns), 1),
        "snn_signgd_error": channel.recv(),
        "load_average": [round(x, 1) for x in os.getloadavg()],
    }


def main() -> None:
    """Measure every network and write benchmarks/results/peers.json."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(NAMES))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.names:
            with _peer(name, arguments.threads) as channel:
                if channel is None:
                    return
                rows.append(
                    measure(name, arguments.threads, arguments.rounds, Path(folder), channel)
                )
            print(rows[-1], flush=True)
    print(write("peers", f"python -m benchmarks.peers --threads {arguments.threads}", rows))


if __name__ == "__main__":
    main()
