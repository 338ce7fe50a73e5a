"""Speed of ours against the paper's own package, side by side in one process.

python -m benchmarks.peers [--threads 2] [--rounds 3] [NAME...]

T time steps on a batch, by turns: the ANN in onnxruntime, ours, and snn_signgd, the package that
the paper's authors published, with its defaults, where it is installed; figures are medians.
Both simulate the same number of steps; what they make of them is in docs/fidelity.md.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

import onnx2snn
from benchmarks.paper_baseline import simulation
from benchmarks.results import write
from benchmarks.speed import BATCH, MODELS, NAMES, TIME_STEPS, open_ann, seconds, spiking_file


def measure(name: str, threads: int, rounds: int, folder: Path) -> dict[str, Any] | None:
    """One network; None where the package is missing."""
    calibration = np.load(MODELS / "digits_calibration.npz")["image"]
    feed = {"image": np.ascontiguousarray(np.load(MODELS / "digits_test.npz")["image"][:BATCH])}
    peer = simulation(f"digits_{name}", calibration, TIME_STEPS)
    if peer is None:
        return None
    path = MODELS / f"digits_{name}.onnx"
    ann = open_ann(path, threads)
    session = onnx2snn.SpikingSession(
        spiking_file(path, folder, TIME_STEPS, tuning=0), device="cpu"
    )
    calls = {
        "forward": partial(ann.run, None, feed),
        "ours": partial(session.run, None, feed),
        "snn_signgd": partial(peer, feed["image"]),
    }
    for call in calls.values():
        call()
    turns = [{key: seconds(call, 1) for key, call in calls.items()} for _ in range(rounds)]
    (logits,), reached = ann.run(None, feed), peer(feed["image"])
    return {
        "model": name,
        "threads": threads,
        "batch": BATCH,
        "time_steps": TIME_STEPS,
        **{f"{key}_ms": round(1e3 * median(turn[key] for turn in turns), 2) for key in calls},
        "faster": round(median(turn["snn_signgd"] / turn["ours"] for turn in turns), 1),
        "snn_signgd_error": float(np.linalg.norm(reached - logits) / np.linalg.norm(logits)),
        "load_average": [round(x, 1) for x in os.getloadavg()],
    }


def main() -> None:
    """Measure every network and write benchmarks/results/peers.json."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(NAMES))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.names:
            row = measure(name, arguments.threads, arguments.rounds, Path(folder))
            if row is None:
                return
            rows.append(row)
            print(row, flush=True)
    print(write("peers", f"python -m benchmarks.peers --threads {arguments.threads}", rows))


if __name__ == "__main__":
    main()
