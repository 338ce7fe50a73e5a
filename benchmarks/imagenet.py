"""ImageNet's validation images with the transforms that the paper's six networks are judged with.

A folder with one folder of images for each class, in the order of the classes, as torchvision's
ImageFolder reads it. Needs Pillow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp")
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Transform:
    """Shorter side to `resize`, the middle `crop` x `crop`, then (x / 255 - mean) / deviation.

    filter: of Pillow, "BILINEAR" or "BICUBIC".
    """

    resize: int
    crop: int = 224
    filter: str = "BILINEAR"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    deviation: tuple[float, float, float] = IMAGENET_DEVIATION

    def __call__(self, image: Any) -> NDArray[np.float32]:
        """A Pillow image as an array [3, crop, crop]."""
        from PIL import Image

        width, height = image.size
        short = min(width, height)
        size = (int(self.resize * width / short), int(self.resize * height / short))
        resized = image.convert("RGB").resize(size, Image.Resampling[self.filter])
        left, top = (round((side - self.crop) / 2) for side in size)
        cut = resized.crop((left, top, left + self.crop, top + self.crop))
        pixels = np.asarray(cut, np.float32) / 255
        normal = (pixels - np.array(self.mean, "f")) / np.array(self.deviation, "f")
        return np.ascontiguousarray(normal.transpose(2, 0, 1), dtype=np.float32)


# Those of the checkpoints: torchvision's IMAGENET1K_V1 weights (V2 of RegNetX), timm's models.
TRANSFORMS = {
    "convnext_base": Transform(232),
    "mlp_mixer_b32": Transform(256, filter="BICUBIC", mean=HALF, deviation=HALF),
    "resmlp_s24": Transform(256, filter="BICUBIC"),
    "regnetx_3_2gf": Transform(232),
    "vgg16": Transform(256),
    "resnet34": Transform(256),
}


def image_files(folder: Path) -> list[tuple[Path, int]]:
    """Image files with the number of their class, class after class, each in order of names."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    return [
        (path, number)
        for number, own in enumerate(classes)
        for path in sorted(own.rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ]


def chosen_files(folder: Path, count: int, seed: int = 0) -> list[tuple[Path, int]]:
    """`count` files drawn without replacement, or all of them in random order."""
    files = image_files(folder)
    if not files:
        raise ValueError(f"{folder} holds no class folders with images")
    order = np.random.default_rng(seed).permutation(len(files))[:count]
    return [files[i] for i in order]


def read_images(
    files: list[tuple[Path, int]], transform: Transform
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Images [N, 3, crop, crop] and labels [N]."""
    from PIL import Image

    def arrays() -> Iterator[NDArray[np.float32]]:
        for path, _ in files:
            with Image.open(path) as image:
                yield transform(image)

    return np.stack(list(arrays())), np.array([label for _, label in files], np.int64)
