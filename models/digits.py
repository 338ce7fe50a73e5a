"""scikit-learn's handwritten digits as 16x16 images, and the networks trained on them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.zoo import ZOO, build

FOLDER = Path(__file__).parent
NAMES = tuple(name for name in ZOO if name.startswith("digits_"))
TEST_IMAGES = 500
SPLIT_SEED = 0


class Digits(NamedTuple):
    """Images [N, 1, 16, 16] in [0, 1] and labels [N] in 0..9."""

    image: Tensor
    labels: Tensor


def split_digits() -> tuple[Digits, Digits]:
    """1297 images to train and calibrate on, and 500 to test on."""
    from sklearn.datasets import load_digits as sklearn_digits

    data = sklearn_digits()
    small = torch.from_numpy(data.images.astype(np.float32))[:, None] / 16
    image = F.interpolate(small, scale_factor=2.0, mode="bilinear", align_corners=False)
    labels = torch.from_numpy(data.target.astype(np.int64))
    order = torch.from_numpy(np.random.default_rng(SPLIT_SEED).permutation(len(labels)))
    train, test = order[:-TEST_IMAGES], order[-TEST_IMAGES:]
    return Digits(image[train], labels[train]), Digits(image[test], labels[test])


def save_data(path: Path, data: Digits) -> None:
    """Stores images and labels as a compressed .npz."""
    np.savez_compressed(path, image=data.image.numpy(), labels=data.labels.numpy())


def read_data(path: Path) -> Digits:
    """Reads what save_data wrote."""
    with np.load(path) as arrays:
        return Digits(torch.from_numpy(arrays["image"]), torch.from_numpy(arrays["labels"]))


def weights_path(name: str, folder: Path = FOLDER) -> Path:
    """Where a digits model's trained state lies."""
    return folder / "weights" / f"{name}.npz"


def save_digits(name: str, module: nn.Module, folder: Path = FOLDER) -> None:
    """Stores the trained state as arrays under the parameters' names."""
    path = weights_path(name, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {key: value.numpy() for key, value in module.state_dict().items()}
    np.savez_compressed(path, **state)


def load_digits(name: str, folder: Path = FOLDER) -> nn.Module:
    """A trained digits model in evaluation mode, ready to be exported in any way."""
    if name not in NAMES:
        raise ValueError(f"unknown digits model {name!r}; choose from {', '.join(NAMES)}")
    module = build(name)
    with np.load(weights_path(name, folder)) as arrays:
        state = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
    module.load_state_dict(state, strict=True)
    return module
