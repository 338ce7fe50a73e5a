"""The paper's six configurations: conversion and a run at batch 1, time and peak memory.

python -m benchmarks.paper_size [--time-steps 4] [NAME...]

Seeded weights, random input; every network in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import onnx2snn
from benchmarks.results import write
from models.zoo import build, entry, export
from onnx2snn.calibration.ann import open_onnxruntime
from onnx2snn.inspection import inspect_model

NAMES = ("convnext_base", "mlp_mixer_b32", "resmlp_s24", "regnetx_3_2gf", "vgg16", "resnet34")
TIME_STEPS = 4


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)


def measure(path: Path, shape: tuple[int, ...], time_steps: int) -> dict[str, Any]:
    """Convert, save, open and run one exported network: once to prepare it, and once more."""
    generator = np.random.default_rng(0)
    calibration = generator.standard_normal((4, *shape)).astype(np.float32)
    image = generator.standard_normal((1, *shape)).astype(np.float32)
    spiking = path.with_suffix(".snn.onnx")
    start = time.perf_counter()
    model = onnx2snn.convert(path, {"image": calibration}, time_steps=time_steps)
    onnx2snn.save(model, spiking)
    converted = time.perf_counter()
    peak = _peak_gib()
    report = inspect_model(model)
    session = onnx2snn.SpikingSession(spiking, device="cpu")
    opened = time.perf_counter()
    (logits,) = session.run(None, {"image": image})
    ran, peak_of_run = time.perf_counter(), _peak_gib()
    session.run(None, {"image": image})
    again = time.perf_counter() - ran
    (ann,) = open_onnxruntime(str(path)).run(None, {"image": image})
    return {
        **report.counts,
        "sites": len(session.plan.sites),
        "relative_error": float(np.linalg.norm(logits - ann) / np.linalg.norm(ann)),
        "conversion_seconds": round(converted - start, 1),
        "first_run_seconds": round(ran - opened, 2),
        "run_seconds": round(again, 2),
        "conversion_peak_gib": round(peak, 2),
        "peak_gib": round(peak_of_run, 2),
    }


def _in_process(name: str, time_steps: int) -> dict[str, Any]:
    """Export in this process, measure in a fresh one, so that peaks are those of onnx2snn."""
    shape = entry(name).image_shape
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.onnx"
        export(build(name), path, shape)
        arguments = [str(path), ",".join(map(str, shape)), str(time_steps)]
        output = subprocess.run(
            [sys.executable, "-m", "benchmarks.paper_size", "--measure", *arguments],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return {"model": name, "time_steps": time_steps, **result}


def main() -> None:
    """Measure, and write benchmarks/results/paper_size.json, or paper_size_<T>.json for other T."""
    warnings.simplefilter("ignore")
    if sys.argv[1:2] == ["--measure"]:
        path, shape, time_steps = sys.argv[2:]
        sizes = tuple(map(int, shape.split(",")))
        print(json.dumps(measure(Path(path), sizes, int(time_steps))))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(NAMES))
    parser.add_argument("--time-steps", type=int, default=TIME_STEPS)
    arguments = parser.parse_args()
    rows = []
    for name in arguments.names:
        rows.append(_in_process(name, arguments.time_steps))
        print(rows[-1], flush=True)
    steps = arguments.time_steps
    command = f"python -m benchmarks.paper_size --time-steps {steps} {' '.join(arguments.names)}"
    print(write("paper_size" if steps == TIME_STEPS else f"paper_size_{steps}", command, rows))


if __name__ == "__main__":
    main()
