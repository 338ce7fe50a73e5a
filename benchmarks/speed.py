"""One time step against one forward of the ANN, side by side in one process.

python -m benchmarks.speed [--threads 2] [--rounds 25] [NAME...]

The ANN runs in onnxruntime, the SNN in onnx2snn, with the same number of threads. Rounds
alternate between the two, so that other load on the machine falls on both, with a pause between
turns: idle threads of either spin for a while and would take a core from the other. Figures are
medians of the ratios. Peak memory is that of fresh processes.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
import torch

import onnx2snn
from benchmarks.results import write

NAMES = ("convnext", "mlp_mixer", "resmlp", "regnet", "vgg", "resnet")
MODELS = Path(__file__).parents[1] / "models"
TIME_STEPS, BATCH = 32, 64
# Made for so few steps, networks let all linear parts pass by their neurons.
FEW_STEPS = 16
LONG, SHORT = 256, 16
PAUSE_SECONDS = 0.1
# A turn is as many calls as fit, so that short ones are measured as warm as long ones.
TURN_SECONDS = 0.05
# What is measured: over how many time steps of those it is made for, at which batch size.
CASES = (
    ("float32", TIME_STEPS, TIME_STEPS, BATCH),
    ("float32", TIME_STEPS, TIME_STEPS, 1),
    ("few_steps", FEW_STEPS, FEW_STEPS, BATCH),
    ("few_steps", FEW_STEPS, FEW_STEPS, 1),
    ("bf16", TIME_STEPS, TIME_STEPS, BATCH),
    ("eager", 8, TIME_STEPS, BATCH),
)
OPTIONS: dict[str, dict[str, Any]] = {
    "float32": {},
    "few_steps": {},
    "bf16": {"precision": "bf16"},
    "eager": {"compile": False},
}


def open_ann(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """The ANN in onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def seconds(call: Callable[[], Any], times: int) -> float:
    """Of one call, on average; threads of what ran before have come to rest."""
    time.sleep(PAUSE_SECONDS)
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times


def ratio(ann: Callable[[], Any], snn: Callable[[], Any], rounds: int) -> dict[str, float]:
    """Medians over rounds; a round weighs the SNN against forwards before and after it."""
    for call in (ann, snn, ann, snn):
        call()
    repeats = max(3, int(TURN_SECONDS / max(seconds(ann, 3), 1e-6)))
    again = max(1, int(TURN_SECONDS / seconds(snn, 1)))
    forwards, runs, ratios = [seconds(ann, repeats)], [], []
    for _ in range(rounds):
        runs.append(seconds(snn, again))
        forwards.append(seconds(ann, repeats))
        ratios.append(2 * runs[-1] / (forwards[-2] + forwards[-1]))
    return {
        "forward_ms": round(1e3 * median(forwards), 3),
        "run_ms": round(1e3 * median(runs), 2),
        "ratio": round(median(ratios), 3),
    }


def _timed(run: Callable[[int, int, int], None], spent: dict[str, float]) -> Callable[..., None]:
    """Runs a program instruction by instruction; those of sites count spikes."""

    def timed(words: int, count: int, threads: int) -> None:
        table = (ctypes.c_int64 * (3 * count)).from_address(words)
        for i in range(count):
            start = time.perf_counter()
            run(words + 24 * i, 1, threads)
            kind = "sites" if table[3 * i + 2] else "linear"
            spent[kind] += time.perf_counter() - start

    return timed


def _shares(session: onnx2snn.SpikingSession, feed: dict[str, Any]) -> dict[str, float]:
    """Where a run's time goes: linear operators, sites, and all else (start, decoding).

    Nothing is known of a network that runs without a program.
    """
    spent = dict.fromkeys(("linear", "sites"), 0.0)
    prepared = next(iter(session._runner.programs.known.values()), None)
    if prepared is None:
        return {}
    library = prepared.recipe.library
    prepared.recipe.library = replace(library, run=_timed(library.run, spent))
    try:
        total = seconds(lambda: session.run(None, feed), 1)
    finally:
        prepared.recipe.library = library
    found = {kind: round(seconds / total, 3) for kind, seconds in spent.items()}
    return {**found, "rest": round(1 - sum(found.values()), 3)}


def spiking_file(path: Path, folder: Path, time_steps: int, **settings: Any) -> Path:
    """The ANN at `path`, converted on a few samples; what is measured is not its accuracy."""
    samples = np.load(MODELS / "digits_calibration.npz")["image"][:32]
    model = onnx2snn.convert(path, {"image": samples}, time_steps=time_steps, **settings)
    target = folder / f"{path.stem}_{time_steps}.onnx"
    onnx2snn.save(model, target, force=True)
    return target


def _peak(path: Path, time_steps: int) -> float:
    """Peak resident MiB of a process that runs `time_steps` steps on a batch."""
    arguments = ["--peak", str(path), str(time_steps)]
    command = [sys.executable, "-m", "benchmarks.speed", *arguments]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(json.loads(output.splitlines()[-1]))


def _run_for_peak(path: str, time_steps: int) -> None:
    image = np.load(MODELS / "digits_test.npz")["image"][:BATCH]
    session = onnx2snn.SpikingSession(path, device="cpu")
    session.run(None, {"image": image}, time_steps=time_steps)
    # Not getrusage, whose peak a process inherits from the one that started it.
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(line for line in status if line.startswith("VmHWM"))
    print(json.dumps(int(peak.split()[1]) / 1024))


def measure(name: str, threads: int, rounds: int, folder: Path) -> dict[str, Any]:
    """All figures of one network."""
    path = MODELS / f"digits_{name}.onnx"
    spiking = {t: spiking_file(path, folder, t, tuning=0) for t in (TIME_STEPS, FEW_STEPS)}
    image = np.load(MODELS / "digits_test.npz")["image"]
    ann = open_ann(path, threads)
    row: dict[str, Any] = {"model": name, "threads": threads}
    feeds = {batch: {"image": np.ascontiguousarray(image[:batch])} for batch in (BATCH, 1)}
    for label, steps, made_for, batch in CASES:
        session = onnx2snn.SpikingSession(spiking[made_for], device="cpu", **OPTIONS[label])
        forward = partial(ann.run, None, feeds[batch])
        simulate = partial(session.run, None, feeds[batch], time_steps=steps)
        found = ratio(forward, simulate, 2 if label in ("bf16", "eager") else rounds)
        whole = found.pop("ratio")
        row[f"{label}_batch_{batch}"] = {
            **found,
            "time_steps": steps,
            "step_per_forward": round(whole / steps, 3),
            "run_per_forward": whole,
        }
        if label == "float32" and batch == BATCH:
            row["shares"] = _shares(session, feeds[batch])
    long = spiking_file(path, folder, LONG, schedule="exponential")
    row["peak_mib"] = {str(t): round(_peak(long, t), 1) for t in (SHORT, LONG)}
    return row


def main() -> None:
    """Measure every network and write benchmarks/results/speed.json."""
    warnings.simplefilter("ignore")
    if sys.argv[1:2] == ["--peak"]:
        _run_for_peak(sys.argv[2], int(sys.argv[3]))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(NAMES))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=25)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.names:
            row = measure(name, arguments.threads, arguments.rounds, Path(folder))
            rows.append({**row, "load_average": [round(x, 1) for x in os.getloadavg()]})
            print(rows[-1], flush=True)
    print(write("speed", f"python -m benchmarks.speed --threads {arguments.threads}", rows))


if __name__ == "__main__":
    main()
