"""Reads and writes .npz files of named arrays."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx2snn import files
from onnx2snn.ops.errors import DataError
from onnx2snn.runtime.graph import TensorInfo

LABELS = "labels"

# NotImplementedError and RuntimeError: unknown compression, encrypted members.
_UNREADABLE = (
    *(ValueError, OSError, EOFError, KeyError, NotImplementedError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)

Arrays = dict[str, NDArray[Any]]


def read_arrays(path: Path) -> Arrays:
    """All arrays of an .npz file; DataError if it is none or holds Python objects."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; give an .npz file")
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DataError(f"{path} is no .npz archive; save with numpy.savez(name=array)")
        with archive:
            arrays = {name: archive[name] for name in archive.files}
    except _UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path} cannot be read as .npz of plain arrays: {reason}") from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise DataError(f"{path}: '{name}' is no array; save with numpy.savez(name=array)")
    return arrays


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], *, force: bool) -> None:
    """Write arrays to an .npz file, whole or not at all."""

    def fill(stream: Any) -> None:
        np.savez(stream, allow_pickle=False, **dict(arrays))

    files.write(path, fill, force=force)


def split_labels(arrays: Arrays, inputs: list[TensorInfo]) -> tuple[Arrays, NDArray[Any] | None]:
    """The model's inputs among `arrays`, and the labels where there are any.

    Raises DataError where an input is missing or samples and labels differ in number.
    """
    names = [info.name for info in inputs]
    missing = [name for name in names if name not in arrays]
    if missing:
        held = ", ".join(f"'{name}'" for name in arrays) or "nothing"
        raise DataError(f"the data lack the input '{missing[0]}'; they hold {held}")
    feed = {name: arrays[name] for name in names}
    labels = None if LABELS in names else arrays.get(LABELS)
    counts = {name: len(array) for name, array in feed.items() if array.ndim}
    if len(set(counts.values())) > 1:
        raise DataError(f"inputs differ in their number of samples: {counts}")
    samples = next(iter(counts.values()), 1)
    if not samples:
        raise DataError("the data hold no sample")
    if labels is not None and (labels.ndim != 1 or len(labels) != samples):
        raise DataError(
            f"'{LABELS}' has shape {list(labels.shape)}, but there are {samples} samples; "
            f"it must have shape [{samples}]"
        )
    if labels is not None and labels.dtype.kind not in "iu":
        raise DataError(f"'{LABELS}' holds {labels.dtype}; it must hold class indices (integers)")
    return feed, labels
