"""The six trained digits networks: accuracy at T = 32, whichever exporter wrote the file."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import onnx2snn
from models.digits import FOLDER, NAMES, load_digits
from models.zoo import entry, export
from onnx2snn.calibration.ann import open_onnxruntime
from onnx2snn.evaluation import Evaluation, evaluate
from onnx2snn.inspection import inspect_model

EXPORTS = [
    ("torchscript", 13),
    ("torchscript", 17),
    ("torchscript", 20),
    ("dynamo", 18),
    ("dynamo", 20),
]


@cache
def arrays(part: str) -> dict[str, Any]:
    with np.load(FOLDER / f"digits_{part}.npz") as archive:
        return dict(archive)


def exported(name: str, exporter: str, opset: int, folder: Path) -> Path:
    path = folder / f"{name}_{exporter}_{opset}.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export(load_digits(name), path, entry(name).image_shape, opset=opset, exporter=exporter)
    return path


def converted(path: Path) -> onnx.ModelProto:
    return onnx2snn.convert(
        path, {"image": arrays("calibration")["image"]}, time_steps=32, tuning=0
    )


def evaluated(model: onnx.ModelProto, ann: Path) -> Evaluation:
    test = arrays("test")
    return evaluate(
        onnx2snn.SpikingSession(model, device="cpu"),
        open_onnxruntime(str(ann)),
        {"image": test["image"]},
        test["labels"],
        [32],
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_snn_is_as_accurate_as_its_ann(name: str) -> None:
    path = FOLDER / f"{name}.onnx"
    model = converted(path)
    result = evaluated(model, path)
    (row,) = result.rows
    assert inspect_model(model).counts["analog"] == 0
    assert result.ann_top1 is not None and row.top1 is not None
    assert abs(result.ann_top1 - row.top1) <= 1.0
    assert row.relative_error <= 0.05


@pytest.mark.parametrize("name", NAMES)
def test_coverage_does_not_depend_on_the_export(name: str, tmp_path: Path) -> None:
    counts = [inspect_model(exported(name, *how, tmp_path)).counts for how in EXPORTS[::2]]
    counts.append(inspect_model(FOLDER / f"{name}.onnx").counts)
    assert counts[0]["analog"] == 0
    assert all(other == counts[0] for other in counts[1:])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_error_does_not_depend_on_the_export(name: str, tmp_path: Path) -> None:
    paths = [exported(name, *how, tmp_path) for how in EXPORTS]
    errors = [evaluated(converted(path), path).rows[0].relative_error for path in paths]
    assert max(errors) <= 1.1 * min(errors)


@pytest.mark.parametrize("name", ["digits_resmlp", "digits_vgg"])
def test_the_spiking_file_is_the_ann_to_stock_onnxruntime(name: str, tmp_path: Path) -> None:
    spiking = tmp_path / "model.snn.onnx"
    calibration = {"image": arrays("calibration")["image"][:16]}
    onnx2snn.save(
        onnx2snn.convert(FOLDER / f"{name}.onnx", calibration, time_steps=2, tuning=0), spiking
    )
    images = {"image": arrays("test")["image"][:64]}
    found, expected = (
        onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(
            None, images
        )[0]
        for path in (spiking, FOLDER / f"{name}.onnx")
    )
    np.testing.assert_allclose(found, expected, atol=1e-4)
