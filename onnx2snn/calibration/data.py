"""Calibration inputs: the user's, or synthetic ones of the declared shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx2snn.ops.errors import DataError
from onnx2snn.runtime.graph import TensorInfo
from onnx2snn.runtime.inputs import checked_input

SYNTHETIC_SAMPLES = 16
LARGEST_SAMPLES = 256
MEMORY_BYTES = 2 << 30
COPIES = 4

Feed = dict[str, NDArray[Any]]


def synthetic(inputs: tuple[TensorInfo, ...]) -> Feed:
    """Standard normal numbers (zeros and ones for integers) of the declared shapes, seeded."""
    generator = np.random.default_rng(0)
    return {info.name: _synthetic(info, generator) for info in inputs}


def _synthetic(info: TensorInfo, generator: np.random.Generator) -> NDArray[Any]:
    shape = list(info.shape or ())
    if shape and not isinstance(shape[0], int):
        shape[0] = SYNTHETIC_SAMPLES
    if info.shape is None or not all(isinstance(d, int) for d in shape):
        raise DataError(
            f"input '{info.name}' has an open shape, so no synthetic calibration data can be "
            "made for it; give --calibration DATA.npz"
        )
    if info.dtype.kind == "f":
        return generator.standard_normal(shape).astype(info.dtype)  # type: ignore[arg-type]
    return generator.integers(0, 2, shape).astype(info.dtype)  # type: ignore[arg-type]


def checked(inputs: tuple[TensorInfo, ...], data: Mapping[str, NDArray[Any]]) -> Feed:
    """The arrays of `data` that the model reads, with fixed batch sizes left open."""
    feed = {}
    for info in inputs:
        if info.name not in data:
            names = ", ".join(f"'{name}'" for name in data)
            raise DataError(
                f"calibration data lack the input '{info.name}'; they hold {names or 'nothing'}"
            )
        open_shape = (None, *info.shape[1:]) if info.shape else info.shape
        array = checked_input(TensorInfo(info.name, info.element_type, open_shape), data[info.name])
        feed[info.name] = array.astype(info.dtype)
    sizes = {array.shape[0] for array in feed.values() if array.ndim}
    if len(sizes) > 1:
        raise DataError(f"calibration arrays differ in their number of samples: {sorted(sizes)}")
    if sizes == {0}:
        raise DataError("calibration data hold no sample")
    return feed


def affordable(samples: int, time_steps: int, neurons: int) -> int:
    """How many samples a walk can hold: T * neurons per sample * a few copies in memory."""
    per_sample = 4 * COPIES * time_steps * max(neurons, 1)
    return max(1, min(samples, LARGEST_SAMPLES, MEMORY_BYTES // per_sample))
