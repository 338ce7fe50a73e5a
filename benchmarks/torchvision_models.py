"""Every classifier of torchvision, exported with seeded weights: coverage, and error at T = 32.

python -m benchmarks.torchvision_models [--exporters torchscript,dynamo] [--opsets 13,17,20]
    [--coverage-only] [NAME...]

torchvision is not installed by the project: `pip install --no-deps torchvision pillow`. Beside a
CPU build of torch its compiled operators are missing; classifiers use none of them, so they are
only declared. Every network is exported and measured in a process of its own; rows already in
benchmarks/results/torchvision.json are kept where a run does not measure them again.
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
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

import onnx2snn
from benchmarks.results import read, write
from models.zoo import DYNAMO_MIN_OPSET, export
from onnx2snn.calibration.ann import open_onnxruntime
from onnx2snn.inspection import inspect_model

TIME_STEPS = 32
SAMPLES = 2
SIZES = {"inception_v3": 299}
ATTENTION_OPSET = 14
TIMEOUT_SECONDS = 1800
RESERVED_BYTES = 2 << 30
# Declared, never called: the wheel's own are compiled for another build of torch.
MISSING = (
    *("nms", "qnms", "roi_align", "qroi_align", "_roi_align_backward", "roi_pool"),
    *("_roi_pool_backward", "ps_roi_align", "_ps_roi_align_backward", "ps_roi_pool"),
    *("_ps_roi_pool_backward", "deform_conv2d", "_deform_conv2d_backward"),
)

Row = dict[str, Any]


def import_torchvision() -> Any:
    """The module, with the operators declared that a CPU build of torch cannot load."""
    library: Any = torch.library
    fragment = library.Library("torchvision", "FRAGMENT")
    for name in MISSING:
        if not hasattr(torch.ops.torchvision, name):
            fragment.define(f"{name}(Tensor x) -> Tensor")
    return import_module("torchvision"), fragment


def classifiers() -> list[str]:
    """Names of all classifiers."""
    torchvision, _ = import_torchvision()
    return list(torchvision.models.list_models(module=torchvision.models))


def _started(module: torch.nn.Module) -> torch.nn.Module:
    """Weights that start at zero drawn too: the heads of ViT would answer 0 to every image."""
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, torch.nn.Linear) and not layer.weight.any():
                torch.nn.init.xavier_uniform_(layer.weight)
    return module


def exported(name: str, folder: Path, exporter: str = "torchscript", opset: int = 17) -> Path:
    """A file with the network, its weights drawn from a fixed seed."""
    torchvision, _library = import_torchvision()
    torch.manual_seed(0)
    module = _started(torchvision.models.get_model(name, weights=None).eval())
    path = folder / f"{name}.onnx"
    kind: Literal["torchscript", "dynamo"] = "dynamo" if exporter == "dynamo" else "torchscript"
    with _attention_written_out() if opset < ATTENTION_OPSET else nullcontext():
        export(module, path, image_shape(name), opset=opset, exporter=kind)
    return path


@contextmanager
def _attention_written_out() -> Iterator[None]:
    """PyTorch's exporter refuses its fused attention below opset 14; its definition it takes."""
    functional: Any = torch.nn.functional
    fused = functional.scaled_dot_product_attention

    def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, *_: Any) -> Tensor:
        scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
        return torch.softmax(scores if mask is None else scores + mask, -1) @ v

    functional.scaled_dot_product_attention = attention
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = fused


def image_shape(name: str) -> tuple[int, int, int]:
    """Of one input."""
    size = SIZES.get(name, 224)
    return (3, size, size)


def measure(name: str, exporter: str, opset: int, coverage_only: bool) -> Row:
    """Export one network, convert it, compare with onnxruntime on random input."""
    with tempfile.TemporaryDirectory() as folder:
        path = exported(name, Path(folder), exporter, opset)
        if coverage_only:
            return dict(inspect_model(path).counts)
        return _converted(path, image_shape(name))


def _converted(path: Path, shape: tuple[int, ...]) -> Row:
    generator = np.random.default_rng(0)
    images = generator.standard_normal((SAMPLES + 1, *shape)).astype(np.float32)
    start = time.perf_counter()
    model = onnx2snn.convert(path, {"image": images[1:]}, time_steps=TIME_STEPS, tuning=0)
    seconds = time.perf_counter() - start
    counts = dict(inspect_model(model).counts)
    session = onnx2snn.SpikingSession(model, device="cpu")
    (snn,) = session.run(None, {"image": images[:1]})
    (ann,) = open_onnxruntime(str(path)).run(None, {"image": images[:1]})
    return {
        **counts,
        "time_steps": TIME_STEPS,
        "sites": len(session.plan.sites),
        "relative_error": float(np.linalg.norm(snn - ann) / np.linalg.norm(ann)),
        "conversion_seconds": round(seconds, 1),
    }


def _in_process(name: str, exporter: str, opset: int, coverage_only: bool) -> Row:
    """One row; a network that fails or does not fit in memory says so in it."""
    key = {"model": name, "exporter": exporter, "opset": opset}
    arguments = [name, exporter, str(opset), str(int(coverage_only))]
    command = [sys.executable, "-m", "benchmarks.torchvision_models", "--measure", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        return {**key, "failure": f"not done in {TIMEOUT_SECONDS} s"}
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return {**key, "failure": lines[-1][:300]}
    result: Row = json.loads(done.stdout.splitlines()[-1])
    return {**key, **result}


def _limit_memory() -> None:
    """A network that is too large fails by itself, before the machine does."""
    available = next(
        int(line.split()[1]) << 10
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemAvailable")
    )
    limit = max(available - RESERVED_BYTES, RESERVED_BYTES)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _variants(exporters: str, opsets: str) -> Iterator[tuple[str, int]]:
    for exporter in exporters.split(","):
        for opset in map(int, opsets.split(",")):
            if exporter != "dynamo" or opset >= DYNAMO_MIN_OPSET:
                yield exporter, opset


def _merged(known: Row, row: Row, coverage_only: bool) -> Row:
    """A new row in place of a known one; counts stay where only the error could not be had."""
    if "failure" in row and "spiking" in known and not coverage_only:
        return {**known, "not_measured": row["failure"]}
    kept = known if coverage_only and "failure" not in row else {}
    return {**{k: v for k, v in kept.items() if k != "failure"}, **row}


def _key(row: Row) -> tuple[str, str, int]:
    return row["model"], row["exporter"], row["opset"]


def main() -> None:
    """Measure, and write benchmarks/results/torchvision.json after every row."""
    warnings.simplefilter("ignore")
    if sys.argv[1:2] == ["--measure"]:
        _limit_memory()
        name, exporter, version, coverage_only = sys.argv[2:]
        print(json.dumps(measure(name, exporter, int(version), coverage_only == "1")))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--exporters", default="torchscript,dynamo")
    parser.add_argument("--opsets", default="13,17,20")
    parser.add_argument("--coverage-only", action="store_true")
    arguments = parser.parse_args()
    rows = {_key(row): row for row in read("torchvision", missing=[])}
    for name in arguments.names or classifiers():
        for exporter, opset in _variants(arguments.exporters, arguments.opsets):
            row = _in_process(name, exporter, opset, arguments.coverage_only)
            rows[_key(row)] = _merged(rows.get(_key(row), {}), row, arguments.coverage_only)
            print(row, flush=True)
            write("torchvision", "python -m benchmarks.torchvision_models", list(rows.values()))


if __name__ == "__main__":
    main()
