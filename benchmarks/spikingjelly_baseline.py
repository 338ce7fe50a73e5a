"""The digits networks by SpikingJelly's ann2snn with rate coding, as a baseline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.modules import with_modules
from models.digits import load_digits

BATCH = 50


def _batches(images: NDArray[Any]) -> list[Tensor]:
    tensor = torch.from_numpy(images)
    return [tensor[start : start + BATCH] for start in range(0, len(tensor), BATCH)]


def outputs_over_time(
    name: str, calibration: NDArray[Any], images: NDArray[Any], wanted: Sequence[int]
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Mean output after each of the steps `wanted`; nothing where SpikingJelly is missing."""
    try:
        from spikingjelly.activation_based import functional
        from spikingjelly.activation_based.ann2snn import Converter
        from spikingjelly.activation_based.ann2snn.recipes import RateCodingRecipe
    except ImportError as error:
        print(f"spikingjelly: left out, since it cannot be imported ({error})", flush=True)
        return
    loader = [(batch, torch.zeros(len(batch))) for batch in _batches(calibration)]
    recipe = RateCodingRecipe(dataloader=loader, mode="99.9%")
    snn = Converter(recipe).convert(with_modules(load_digits(name)))
    sums: dict[int, list[NDArray[Any]]] = {t: [] for t in wanted}
    with torch.inference_mode():
        for batch in _batches(images):
            functional.reset_net(snn)
            total = torch.zeros(())
            for t in range(1, max(wanted) + 1):
                total = total + snn(batch)
                if t in sums:
                    sums[t].append((total / t).numpy())
    yield from ((t, np.concatenate(parts)) for t, parts in sums.items())
