"""The golden trajectories, and what SpikingSession makes of the same networks."""

from __future__ import annotations

import tarfile
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

import onnx2snn

Array = np.ndarray[Any, Any]
FOLDER = Path(__file__).parents[1] / "data" / "golden"
NETWORKS = ("mlp", "cnn", "resnet", "convnext")
TIME_STEPS = 64


@cache
def arrays() -> dict[str, Array]:
    with np.load(FOLDER / "golden.npz") as stored:
        return dict(stored)


@cache
def models() -> dict[str, bytes]:
    """The exported networks by "network/file"."""
    with tarfile.open(FOLDER / "models.tar.xz") as tar:
        return {m.name: tar.extractfile(m).read() for m in tar.getmembers()}  # type: ignore[union-attr]


def images(network: str, name: str) -> Array:
    """`name` is "calibration" or "x"."""
    flat = arrays()[name].astype(np.float32) / 16
    if network == "mlp":
        return flat
    small = torch.from_numpy(flat).reshape(-1, 1, 8, 8)
    return torch.nn.functional.interpolate(small, size=16, mode="bilinear").numpy()


def files(network: str) -> list[str]:
    return [name for name in models() if name.startswith(f"{network}/")]


@cache
def converted(file: str) -> onnx.ModelProto:
    network = file.split("/")[0]
    feed = {"x": images(network, "calibration")}
    model = onnx.load_from_string(models()[file])
    return onnx2snn.convert(model, feed, preset="paper", time_steps=TIME_STEPS)


def spikes(
    model: onnx.ModelProto, feed: dict[str, Array], time_steps: int, precision: str = "float64"
) -> dict[str, Array]:
    """s(t) by site, shape [T, ...], read off the estimates: a neuron that fired went down."""
    session = onnx2snn.SpikingSession(model, device="cpu", precision=precision, block=1)
    sites = [step.site for step in session.plan.sites if not step.site.coding]
    before: dict[str, Any] = {site.name: 0.0 for site in sites}
    fired: dict[str, list[Array]] = {site.name: [] for site in sites}

    def probe(state: Any) -> None:
        for site in sites:
            estimate = state.values[site.output].numpy().copy()
            fired[site.name].append(estimate < before[site.name])
            before[site.name] = estimate

    session.simulate(feed, range(1, time_steps + 1), probe=probe)
    return {name: np.stack(steps) for name, steps in fired.items()}


def digests(fired: Array) -> Array:
    """Of spikes [T, samples, ...], as `spk_XX` has them."""
    rows = np.packbits(fired.reshape(*fired.shape[:2], -1), axis=2)
    return np.stack([np.frombuffer(sha256(row.tobytes()).digest()[:8], np.uint8) for row in rows])
