"""One time step against one forward of the ANN, for networks of real size from torchvision.

python -m benchmarks.torchvision_speed [--threads 2] [--rounds 3] [NAME...]

Seeded weights and a schedule of closed form: what is measured is not accuracy. torchvision is
installed as for benchmarks.torchvision_models; turns are taken as in benchmarks.speed. Rows of
networks that are not named are kept.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import onnx2snn
from benchmarks.results import read, write
from benchmarks.speed import open_ann, ratio
from benchmarks.torchvision_models import exported, image_shape

NAMES = (
    *("resnet18", "mobilenet_v2", "efficientnet_b0", "shufflenet_v2_x1_0", "regnet_x_400mf"),
    *("densenet121", "convnext_tiny", "swin_t", "vit_b_32", "googlenet", "inception_v3"),
    *("squeezenet1_1", "mnasnet1_0", "mobilenet_v3_large", "alexnet"),
)
TIME_STEPS, BATCH = 32, 8


def measure(name: str, threads: int, rounds: int) -> dict[str, Any]:
    """The figures of one network."""
    images = np.random.default_rng(0).standard_normal((BATCH, *image_shape(name)))
    feed = {"image": images.astype(np.float32)}
    with tempfile.TemporaryDirectory() as folder:
        path = exported(name, Path(folder))
        model = onnx2snn.convert(
            path, {"image": feed["image"][:2]}, time_steps=TIME_STEPS, schedule="exponential"
        )
        session, ann = onnx2snn.SpikingSession(model, device="cpu"), open_ann(path, threads)
        found = ratio(partial(ann.run, None, feed), partial(session.run, None, feed), rounds)
    step = round(found.pop("ratio") / TIME_STEPS, 3)
    return {"model": name, "threads": threads, **found, "step_per_forward": step}


def main() -> None:
    """Measure every network and write benchmarks/results/torchvision_speed.json."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(NAMES))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = {row["model"]: row for row in read("torchvision_speed", missing=[])}
    for name in arguments.names:
        row = measure(name, arguments.threads, arguments.rounds)
        rows[name] = {**row, "load_average": [round(x, 1) for x in os.getloadavg()]}
        print(rows[name], flush=True)
    found = [rows[name] for name in NAMES if name in rows]
    print(write("torchvision_speed", "python -m benchmarks.torchvision_speed", found))


if __name__ == "__main__":
    main()
