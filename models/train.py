"""Trains the digits models and writes them with their data: python -m models.train [NAME...]."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.digits import FOLDER, NAMES, Digits, save_data, save_digits, split_digits
from models.zoo import build, entry, export

EPOCHS = 60
BATCH = 64
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.05
MAX_SHIFT = 2 / 16
MAX_ANGLE = math.radians(8)
CALIBRATION_IMAGES = 256


def augment(image: Tensor) -> Tensor:
    """Rotates by up to 8 degrees and shifts by up to one pixel of the 8x8 original."""
    count = len(image)
    angle = (2 * torch.rand(count) - 1) * MAX_ANGLE
    shift = (2 * torch.rand(count, 2) - 1) * 2 * MAX_SHIFT
    rows = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(-1, 2, 2)
    theta = torch.cat([rows, shift[:, :, None]], 2)
    grid = F.affine_grid(theta, list(image.shape), align_corners=False)
    return F.grid_sample(image, grid, align_corners=False)


def train(name: str, data: Digits, *, epochs: int = EPOCHS, seed: int = 0) -> nn.Module:
    """Trains one model with AdamW and a one-cycle cosine schedule."""
    module = build(name, seed=seed).train()
    torch.manual_seed(seed)
    steps = math.ceil(len(data.labels) / BATCH)
    optimizer = torch.optim.AdamW(module.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, epochs=epochs, steps_per_epoch=steps, pct_start=0.1
    )
    for _ in range(epochs):
        for index in torch.split(torch.randperm(len(data.labels)), BATCH):
            logits = module(augment(data.image[index]))
            loss = F.cross_entropy(logits, data.labels[index])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return module.eval()


@torch.no_grad()
def accuracy(module: nn.Module, data: Digits) -> float:
    """Top-1 accuracy in percent."""
    correct = module(data.image).argmax(1) == data.labels
    return 100 * int(correct.sum()) / len(correct)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains, writes and reports the named models."""
    parser = argparse.ArgumentParser(prog="python -m models.train", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"from {', '.join(NAMES)}")
    parser.add_argument("--output", type=Path, default=FOLDER)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    options = parser.parse_args(arguments)
    names = options.names or list(NAMES)
    if unknown := set(names) - set(NAMES):
        parser.error(f"unknown {', '.join(sorted(unknown))}; choose from {', '.join(NAMES)}")

    torch.set_num_threads(1)
    options.output.mkdir(parents=True, exist_ok=True)
    training, test = split_digits()
    calibration = Digits(*(part[:CALIBRATION_IMAGES] for part in training))
    save_data(options.output / "digits_calibration.npz", calibration)
    save_data(options.output / "digits_test.npz", test)
    print("| model | parameters | test accuracy | seconds |\n|---|---|---|---|")
    for name in names:
        start = time.perf_counter()
        module = train(name, training, epochs=options.epochs)
        save_digits(name, module, options.output)
        export(module, options.output / f"{name}.onnx", entry(name).image_shape)
        size = sum(parameter.numel() for parameter in module.parameters())
        elapsed = time.perf_counter() - start
        print(f"| {name} | {size} | {accuracy(module, test):.1f} % | {elapsed:.0f} |", flush=True)


if __name__ == "__main__":
    main()
