"""Accuracy over T of the six digits networks: one conversion for each T.

python -m benchmarks.accuracy [--time-steps 4,8,16,32,64] [--spikes binary] [NAME...]
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

import onnx2snn
from benchmarks.results import write
from models.digits import FOLDER, NAMES
from onnx2snn.calibration.ann import open_onnxruntime
from onnx2snn.evaluation import evaluate


def measure(name: str, time_steps: int, spikes: str) -> dict[str, Any]:
    """Convert one network for `time_steps` and evaluate it on the 500 test images."""
    path = FOLDER / f"{name}.onnx"
    calibration, test = (np.load(FOLDER / f"digits_{part}.npz") for part in ("calibration", "test"))
    start = time.perf_counter()
    model = onnx2snn.convert(
        path, {"image": calibration["image"]}, time_steps=time_steps, spikes=spikes
    )
    seconds = time.perf_counter() - start
    result = evaluate(
        onnx2snn.SpikingSession(model, device="cpu"),
        open_onnxruntime(str(path)),
        {"image": test["image"]},
        test["labels"],
        [time_steps],
    )
    (row,) = result.rows
    return {
        "model": name,
        "spikes": spikes,
        "ann_top1": result.ann_top1,
        **vars(row),
        "conversion_seconds": round(seconds, 1),
    }


def main() -> None:
    """Measure every network at every T and write benchmarks/results/accuracy_<spikes>.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(NAMES))
    parser.add_argument("--time-steps", default="4,8,16,32,64")
    parser.add_argument("--spikes", default="binary")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.names:
        for time_steps in map(int, arguments.time_steps.split(",")):
            rows.append(measure(name, time_steps, arguments.spikes))
            print(rows[-1], flush=True)
    command = (
        f"python -m benchmarks.accuracy --spikes {arguments.spikes} "
        f"--time-steps {arguments.time_steps}"
    )
    print(write(f"accuracy_{arguments.spikes}", command, rows))


if __name__ == "__main__":
    main()
