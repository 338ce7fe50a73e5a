"""Models whose weights are more than one protobuf message should hold."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np
import onnx
import onnxruntime
import pytest

import onnx2snn
from models.digits import FOLDER
from onnx2snn import files
from onnx2snn.ops.errors import UsageError
from onnx2snn.runtime.loading import detach
from onnx2snn.saving import save

MODEL = FOLDER / "digits_resnet.onnx"
IMAGES = np.load(FOLDER / "digits_calibration.npz")["image"][:32]


def converted() -> onnx.ModelProto:
    return onnx2snn.convert(MODEL, {"image": IMAGES}, time_steps=4, tuning=0)


def test_weights_beside_the_model_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calibration in onnxruntime, the saved file, and what opens it."""
    small, path = converted(), tmp_path / "net.snn.onnx"
    monkeypatch.setattr(detach, "MOST_BYTES", 0)
    large = converted()
    assert large.graph == small.graph
    save(large, path)
    beside = tmp_path / "net.snn.onnx.data"
    assert path.stat().st_size < beside.stat().st_size
    feed = {"image": IMAGES[:4]}
    (expected,) = onnx2snn.SpikingSession(small, device="cpu").run(None, feed)
    (found,) = onnx2snn.SpikingSession(path, device="cpu").run(None, feed)
    np.testing.assert_array_equal(found, expected)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    limit = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    ann = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
    limits, answers = (session.run(None, feed)[0] for session in (limit, ann))
    np.testing.assert_allclose(limits, answers, rtol=1e-3, atol=1e-3)


def test_neither_file_is_replaced_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detach, "MOST_BYTES", 0)
    path, model = tmp_path / "net.onnx", converted()
    beside = tmp_path / "net.onnx.data"
    beside.write_text("another's")
    with pytest.raises(UsageError, match="exists"):
        save(model, path)
    assert beside.read_text() == "another's"
    assert not path.exists()
    save(model, path, force=True)
    beside.unlink()
    path.write_text("older")
    with pytest.raises(UsageError, match="exists"):
        save(model, path)
    assert not beside.exists()


def test_older_files_outlive_a_write_that_fails(tmp_path: Path) -> None:
    older, path = tmp_path / "net.onnx.data", tmp_path / "net.onnx"
    older.write_bytes(b"weights")

    def failing(stream: IO[bytes]) -> None:
        raise OSError(28, "No space left on device")

    fills = {older: lambda stream: stream.write(b"new"), path: failing}
    with pytest.raises(UsageError, match=r"net\.onnx cannot be written: No space"):
        files.write_together(fills, force=True)
    assert older.read_bytes() == b"weights"
    assert list(tmp_path.iterdir()) == [older]
