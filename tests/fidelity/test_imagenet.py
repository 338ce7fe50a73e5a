"""The images for the paper's table: folders, transforms, the way through a full-size network."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2]))
from benchmarks import paper_table
from benchmarks.imagenet import (
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    TRANSFORMS,
    chosen_files,
    image_files,
    read_images,
)

Image = pytest.importorskip("PIL.Image")
CLASSES = ("n01440764", "n01443537", "n01484850")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of four images of other sizes: a ramp in red, a class in green."""
    root = tmp_path_factory.mktemp("imagenet")
    for number, name in enumerate(CLASSES):
        (root / name).mkdir()
        for i, (width, height) in enumerate([(500, 375), (300, 400), (256, 256), (1000, 240)]):
            pixels = np.zeros((height, width, 3), np.uint8)
            pixels[..., 0] = np.linspace(0, 255, width).astype(np.uint8)
            pixels[..., 1] = 80 * number
            mode = Image.fromarray(pixels)
            suffix = "JPEG" if i % 2 else "png"
            mode.save(root / name / f"image_{i}.{suffix}", quality=95)
    (root / "readme.txt").write_text("no image")
    return root


def test_files_are_numbered_by_class(folder: Path) -> None:
    files = image_files(folder)
    assert [label for _, label in files] == [0] * 4 + [1] * 4 + [2] * 4
    assert all(path.parent.name == CLASSES[label] for path, label in files)
    drawn = chosen_files(folder, 5)
    assert len(set(drawn)) == 5 and drawn == chosen_files(folder, 5)
    assert len(chosen_files(folder, 50)) == 12


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_cut_the_middle_and_normalise(name: str, folder: Path) -> None:
    transform = TRANSFORMS[name]
    files = image_files(folder)
    images, labels = read_images(files, transform)
    assert images.shape == (12, 3, 224, 224) and images.dtype == np.float32
    mean, deviation = np.array(transform.mean), np.array(transform.deviation)
    pixels = images * deviation[:, None, None] + mean[:, None, None]
    np.testing.assert_allclose(pixels[:, 1].mean((1, 2)), 80 * labels / 255, atol=0.02)
    np.testing.assert_allclose(pixels[:, 2], 0, atol=0.05)
    for ramp, (path, _) in zip(pixels[:, 0], files, strict=True):
        width, height = Image.open(path).size
        share = 224 / transform.resize * min(width, height) / width
        assert ramp.mean() == pytest.approx(0.5, abs=0.02)
        assert ramp[:, -1].mean() - ramp[:, 0].mean() == pytest.approx(share, abs=0.03)


def test_transforms_of_two_families_are_as_published() -> None:
    assert TRANSFORMS["resnet34"].mean == IMAGENET_MEAN
    assert TRANSFORMS["vgg16"].deviation == IMAGENET_DEVIATION
    assert TRANSFORMS["mlp_mixer_b32"].mean == (0.5, 0.5, 0.5)


def test_rows_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    case = paper_table.digits("digits_resmlp", 20)
    monkeypatch.setattr(paper_table, "TIME_STEPS", (2, 4))
    rows = list(paper_table.measure(case, "paper", "binary", []))
    assert [row["time_steps"] for row in rows] == [2, 4] and rows[0]["images"] == 20
    assert list(paper_table.measure(case, "paper", "binary", rows)) == []
    assert len(list(paper_table.measure(case, "paper", "binary", rows[:1]))) == 1


@pytest.mark.slow
def test_a_full_size_network_on_a_folder(folder: Path, tmp_path: Path) -> None:
    case = paper_table.full_size("resnet34", 2, folder, None, tmp_path)
    assert case.test["image"].shape == (2, 3, 224, 224)
    snn = case.convert(2, preset="paper", time_steps=1)
    (row,) = case.rows(snn, [1])
    assert row["time_steps"] == 1 and np.isfinite(row["relative_error"])
