"""What a caller feeds to a model: checked, then as tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from onnx2snn.ops.errors import DataError
from onnx2snn.runtime.fallback import type_name, with_native_dtype
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
    if info.shape is not None and not _fits(array.shape, info.shape):
        expected = "[" + ", ".join("?" if d is None else str(d) for d in info.shape) + "]"
        raise DataError(
            f"input '{info.name}' has shape {list(array.shape)}; the model takes {expected}"
        )
    converted = array if array.dtype == info.dtype else _converted(array, info.dtype)
    if "float" in type_name(array.dtype):
        if finite and not np.isfinite(converted).all():
            raise DataError(f"input '{info.name}' holds NaN, infinite or too large values")
        return array
    if converted is not array and not np.array_equal(converted, array):
        raise DataError(f"input '{info.name}' holds values beyond the range of {info.dtype}")
    return converted


def _fits(shape: tuple[int, ...], declared: tuple[int | str | None, ...]) -> bool:
    return len(shape) == len(declared) and all(
        have == want or not isinstance(want, int)
        for have, want in zip(shape, declared, strict=True)
    )


def _converted(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        return array.astype(dtype, copy=False)


def typed_feed(infos: Iterable[TensorInfo], feed: Feed) -> dict[str, NDArray[Any]]:
    """The arrays of `feed` for the inputs `infos`, checked and in the inputs' types."""
    return {
        info.name: checked_input(info, feed[info.name]).astype(info.dtype, copy=False)
        for info in infos
    }


def read_inputs(
    infos: Sequence[TensorInfo],
    feed: Feed,
    device: torch.device,
    dtype: torch.dtype,
    *,
    finite: bool,
) -> dict[str, Tensor]:
    """The inputs as tensors on `device`, floating ones in `dtype`, integers on the CPU."""
    unknown = set(feed) - {info.name for info in infos}
    if unknown:
        names = ", ".join(f"'{info.name}'" for info in infos)
        raise DataError(f"the model has no input '{min(unknown)}'; its inputs are {names}")
    return {info.name: _input(info, feed, device, dtype, finite) for info in infos}


def _input(
    info: TensorInfo, feed: Feed, device: torch.device, dtype: torch.dtype, finite: bool
) -> Tensor:
    if info.name not in feed:
        raise DataError(f"input '{info.name}' is missing")
    array = checked_input(info, feed[info.name], finite=finite)
    tensor = torch.from_numpy(with_native_dtype(np.ascontiguousarray(array)))
    if tensor.dtype == dtype and device.type == "cpu":
        return tensor
    if tensor.is_floating_point():
        return tensor.to(device, dtype)
    return tensor.to(device) if tensor.dtype == torch.bool else tensor
