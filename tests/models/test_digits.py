"""The committed digits models and their data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from models.digits import FOLDER, NAMES, load_digits, read_data, split_digits
from models.train import augment, main

TEST_FILE = FOLDER / "digits_test.npz"
CALIBRATION_FILE = FOLDER / "digits_calibration.npz"


def logits_of(path: Path, image: torch.Tensor) -> np.ndarray:
    """The answer of onnxruntime."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"image": image.numpy()})
    return np.asarray(logits)


@pytest.mark.parametrize("name", NAMES)
def test_accuracy_on_the_test_images(name: str) -> None:
    image, labels = read_data(TEST_FILE)
    answers = logits_of(FOLDER / f"{name}.onnx", image).argmax(1)
    assert (answers == labels.numpy()).mean() >= 0.96


@pytest.mark.parametrize("name", NAMES)
def test_the_onnx_file_is_the_stored_module(name: str) -> None:
    image = read_data(TEST_FILE).image[:64]
    with torch.no_grad():
        expected = load_digits(name)(image).numpy()
    actual = logits_of(FOLDER / f"{name}.onnx", image)
    np.testing.assert_allclose(actual, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_onnx_file_is_valid_and_of_opset_20(name: str) -> None:
    model = onnx.load(FOLDER / f"{name}.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 20)]


def test_the_data_files_are_the_split() -> None:
    train, test = split_digits()
    calibration = read_data(CALIBRATION_FILE)
    assert (len(train.labels), len(test.labels), len(calibration.labels)) == (1297, 500, 256)
    for stored, made in ((calibration, train), (read_data(TEST_FILE), test)):
        assert torch.equal(stored.image, made.image[: len(stored.image)])
        assert torch.equal(stored.labels, made.labels[: len(stored.labels)])
        assert stored.image.dtype == torch.float32
        assert stored.image.min() >= 0 and stored.image.max() <= 1


def test_augmentation_keeps_shape_and_range() -> None:
    image = read_data(CALIBRATION_FILE).image[:8]
    moved = augment(image)
    assert moved.shape == image.shape and not torch.equal(moved, image)
    assert moved.min() >= 0 and moved.max() <= 1 + 1e-6


def test_an_unknown_digits_model_lists_the_choices() -> None:
    with pytest.raises(ValueError, match="choose from digits_convnext"):
        load_digits("vgg16")


@pytest.mark.filterwarnings("ignore")
def test_training_writes_everything_and_repeats_itself(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    try:
        for run in ("first", "second"):
            main(["digits_resmlp", "--epochs", "1", "--output", str(tmp_path / run)])
    finally:
        torch.set_num_threads(threads)
    written = sorted(p.relative_to(tmp_path / "first") for p in tmp_path.glob("first/**/*.*"))
    assert [path.as_posix() for path in written] == [
        "digits_calibration.npz",
        "digits_resmlp.onnx",
        "digits_test.npz",
        "weights/digits_resmlp.npz",
    ]
    first, second = (load_digits("digits_resmlp", tmp_path / run) for run in ("first", "second"))
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_training_refuses_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["digits_vit"])
    assert "unknown digits_vit" in capsys.readouterr().err
