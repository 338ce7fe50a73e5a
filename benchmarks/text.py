"""The text encoder as a spiking one: top-1 of its logits, and cosine of its embedding to the ANN's.

python -m benchmarks.text

500 test snippets of 32 tokens, padded ones masked; one conversion for each configuration, with
LayerNormalization as the paper's two sites and as one, the last with the default tuning, which
takes a quarter of an hour.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import onnx2snn
from benchmarks.results import write
from models.digits import FOLDER
from onnx2snn.calibration.ann import open_onnxruntime

CONFIGURATIONS: tuple[dict[str, Any], ...] = (
    *(
        {"spikes": spikes, "time_steps": time_steps, "layer_norm": sites, "tuning": 0}
        for sites in ("decomposed", "fused")
        for spikes, time_steps in (("binary", 16), ("binary", 32), ("ternary", 8), ("ternary", 16))
    ),
    {"spikes": "binary", "time_steps": 16},
)
OUTPUTS = ["logits", "embedding"]

Array = NDArray[Any]


def _inputs(part: str) -> tuple[dict[str, Array], Array]:
    with np.load(FOLDER / f"text_{part}.npz") as stored:
        data = dict(stored)
    return data, data.pop("labels")


def _cosine(a: Array, b: Array) -> float:
    """Mean over the samples."""
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(1) / norms).mean())


def _top1(logits: Array, labels: Array) -> float:
    return 100 * float((logits.argmax(1) == labels).mean())


def measure(settings: dict[str, Any]) -> dict[str, Any]:
    """Convert, and compare with the ANN on the test snippets."""
    path = str(FOLDER / "text_encoder.onnx")
    model = onnx2snn.convert(path, _inputs("calibration")[0], **settings)
    feed, labels = _inputs("test")
    ann = open_onnxruntime(path).run(OUTPUTS, feed)
    snn = onnx2snn.SpikingSession(model, device="cpu").run(OUTPUTS, feed)
    return {
        **settings,
        "ann_top1": _top1(ann[0], labels),
        "top1": _top1(snn[0], labels),
        "agreement": _top1(snn[0], ann[0].argmax(1)),
        "relative_error": float(np.linalg.norm(snn[0] - ann[0]) / np.linalg.norm(ann[0])),
        "cosine": _cosine(snn[1], ann[1]),
    }


def main() -> None:
    """Measure every configuration and write benchmarks/results/text.json."""
    rows = []
    for settings in CONFIGURATIONS:
        rows.append(measure(settings))
        print(rows[-1], flush=True)
        write("text", "python -m benchmarks.text", rows)


if __name__ == "__main__":
    main()
