"""Samples of an evaluation, read batch by batch: arrays in memory, or larger than memory.

Data on disk are a folder: either shards, .npz files that follow one another in the order of
their names, or one .npy file per input (and labels.npy), which are mapped into memory.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from onnx2snn.data import LABELS, Arrays, read_arrays, split_labels
from onnx2snn.ops.errors import DataError
from onnx2snn.runtime.graph import TensorInfo

Labels = NDArray[Any] | None
Batch = tuple[Mapping[str, NDArray[Any]], Labels]


class Samples(Protocol):
    """A number of samples, of which any part can be read."""

    @property
    def count(self) -> int:
        """How many there are."""

    def batch(self, start: int, stop: int) -> Batch:
        """Inputs and labels of samples [start, stop)."""


@dataclass(frozen=True)
class ArraySamples:
    """Samples whose arrays are open, in memory or mapped into it."""

    feed: Mapping[str, NDArray[Any]]
    labels: Labels

    @property
    def count(self) -> int:
        """How many there are; one where no input has a sample axis."""
        return max((len(array) for array in self.feed.values() if array.ndim), default=1)

    def batch(self, start: int, stop: int) -> Batch:
        """Inputs and labels of samples [start, stop)."""
        rows = slice(start, stop)
        feed = {n: _read(a[rows]) if a.ndim else a for n, a in self.feed.items()}
        return feed, None if self.labels is None else _read(self.labels[rows])


def _read(part: NDArray[Any]) -> NDArray[Any]:
    """`part` in memory."""
    return np.array(part) if isinstance(part, np.memmap) else part


@dataclass
class ShardSamples:
    """Samples in .npz files, of which one is in memory at a time."""

    paths: Sequence[Path]
    inputs: list[TensorInfo]
    starts: Sequence[int]
    held: tuple[int, ArraySamples] | None = field(default=None, repr=False)

    @property
    def count(self) -> int:
        """How many there are."""
        return self.starts[-1]

    def batch(self, start: int, stop: int) -> Batch:
        """Inputs and labels of samples [start, stop), which may lie in several files."""
        parts = []
        for i, (first, last) in enumerate(pairwise(self.starts)):
            if first < stop and start < last:
                shard = self._shard(i)
                parts.append(shard.batch(max(start - first, 0), min(stop, last) - first))
        feeds, labels = zip(*parts, strict=True)
        if len(parts) == 1:
            return parts[0]
        if any((one is None) != (labels[0] is None) for one in labels):
            raise DataError(f"only some of the files beside {self.paths[0]} hold '{LABELS}'")
        joined = {n: _joined([feed[n] for feed in feeds]) for n in feeds[0]}
        return joined, None if labels[0] is None else np.concatenate(labels)

    def _shard(self, index: int) -> ArraySamples:
        if self.held is None or self.held[0] != index:
            self.held = None
            path = self.paths[index]
            try:
                self.held = index, ArraySamples(*split_labels(read_arrays(path), self.inputs))
            except DataError as error:
                raise DataError(f"{path}: {error}") from error
        return self.held[1]


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts) if parts[0].ndim else parts[0]


@dataclass(frozen=True)
class Limited:
    """The first samples of others."""

    samples: Samples
    limit: int

    @property
    def count(self) -> int:
        """How many there are."""
        return min(self.limit, self.samples.count)

    def batch(self, start: int, stop: int) -> Batch:
        """Inputs and labels of samples [start, stop)."""
        return self.samples.batch(start, min(stop, self.count))


def open_samples(path: Path, inputs: list[TensorInfo], limit: int | None = None) -> Samples:
    """The samples in an .npz file or a folder; DataError where they do not fit the inputs."""
    samples: Samples
    if not path.is_dir():
        samples = ArraySamples(*split_labels(read_arrays(path), inputs))
    elif shards := sorted(path.glob("*.npz")):
        samples = _open_shards(shards, inputs)
    else:
        samples = ArraySamples(*split_labels(_mapped(path), inputs))
    return samples if limit is None else Limited(samples, limit)


def _open_shards(paths: Sequence[Path], inputs: list[TensorInfo]) -> ShardSamples:
    starts = [0]
    for path in paths:
        starts.append(starts[-1] + _samples_in(path, inputs))
    if not starts[-1]:
        raise DataError(f"{paths[0].parent}: the data hold no sample")
    return ShardSamples(paths, inputs, starts)


def _samples_in(path: Path, inputs: list[TensorInfo]) -> int:
    """Samples in an .npz file, whose arrays are not read."""
    lengths: list[int] = []
    try:
        with zipfile.ZipFile(path) as archive:
            for info in inputs:
                with archive.open(f"{info.name}.npy") as stream:
                    version = npy.read_magic(stream)
                    reader = {1: npy.read_array_header_1_0, 2: npy.read_array_header_2_0}
                    shape = reader[version[0]](stream)[0]
                lengths.extend(shape[:1])
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is no .npz file with the model's inputs: {error}") from error
    return max(lengths, default=1)


def _mapped(folder: Path) -> Arrays:
    paths = sorted(folder.glob("*.npy"))
    if not paths:
        raise DataError(f"{folder} holds neither .npz nor .npy files")
    try:
        return {p.stem: np.load(p, mmap_mode="r", allow_pickle=False) for p in paths}
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{folder}: a .npy file cannot be read: {error}") from error


def ahead(samples: Samples, parts: Sequence[tuple[int, int]]) -> Iterator[Batch]:
    """The batches [start, stop), each read while the one before it is in use."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        waiting = [reader.submit(samples.batch, *part) for part in parts[:1]]
        for i in range(len(parts)):
            batch = waiting.pop().result()
            if i + 1 < len(parts):
                waiting.append(reader.submit(samples.batch, *parts[i + 1]))
            yield batch
