"""Checks of what a caller feeds to a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx2snn.ops.errors import DataError
from onnx2snn.runtime.graph import TensorInfo

Feed = Mapping[str, NDArray[Any]]


def checked_input(info: TensorInfo, array: NDArray[Any], *, finite: bool = True) -> NDArray[Any]:
    """`array` in the type of the input; DataError unless type, rank and shape fit.

    finite: whether NaN and infinity are refused.
    """
    array = np.asarray(array)
    if array.dtype.kind in "OSUT":
        raise DataError(f"input '{info.name}' holds text; the model takes {info.dtype}")
    if array.dtype.kind != info.dtype.kind and info.dtype.kind in "fiub":
        raise DataError(f"input '{info.name}' holds {array.dtype}; the model takes {info.dtype}")
    if info.shape is not None:
        expected = "[" + ", ".join("?" if d is None else str(d) for d in info.shape) + "]"
        message = f"input '{info.name}' has shape {list(array.shape)}; the model takes {expected}"
        if array.ndim != len(info.shape):
            raise DataError(message)
        for have, want in zip(array.shape, info.shape, strict=True):
            if isinstance(want, int) and have != want:
                raise DataError(message)
    with np.errstate(over="ignore"):
        converted = array.astype(info.dtype, copy=False)
    if "float" in array.dtype.name:
        if finite and not np.isfinite(converted).all():
            raise DataError(f"input '{info.name}' holds NaN, infinite or too large values")
        return array
    if not np.array_equal(converted, array):
        raise DataError(f"input '{info.name}' holds values beyond the range of {info.dtype}")
    return converted


def typed_feed(infos: Iterable[TensorInfo], feed: Feed) -> dict[str, NDArray[Any]]:
    """The arrays of `feed` for the inputs `infos`, checked and in the inputs' types."""
    return {
        info.name: checked_input(info, feed[info.name]).astype(info.dtype, copy=False)
        for info in infos
    }
