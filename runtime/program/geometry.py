"""Which numbers each pixel of a convolution's result is summed from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from onnx2snn.runtime.program.product_source import PANEL, REST, ROWS
from onnx2snn.runtime.program.writer import Writer
from onnx2snn.runtime.vectors import LANES

# Bytes of panels of weights that stay in the first-level cache, and rows that share them.
TOGETHER_BYTES = 16 << 10
BUNCH_ROWS = 8 * ROWS
# Bytes of images that share one: part of a second-level cache, and of a first-level one for filters
# of single channels, whose weights are few.
BUNCH_BYTES, BUNCH_BYTES_DEPTHWISE = 48 << 10, 32 << 10


@dataclass(frozen=True)
class Kind:
    """Pixels that have the same taps.

    pixels: of each, where it is in an image and in a result.
    taps:   of each, how far it is from a pixel, which weights it has, and how many numbers.
    """

    pixels: Tensor
    taps: Tensor


def tables(writer: Writer, kinds: Sequence[Kind]) -> tuple[int, int, int]:
    """Addresses of the numbers of pixels and taps, of the pixels and of the taps."""
    counts = torch.tensor([(len(kind.pixels), len(kind.taps)) for kind in kinds])
    pixels = torch.cat([kind.pixels for kind in kinds])
    taps = torch.cat([kind.taps for kind in kinds])
    return writer.constant(counts), writer.constant(pixels), writer.constant(taps)


def together(depth: int) -> int:
    """Panels of weights that are used at once, for sums over so many numbers."""
    return max(1, TOGETHER_BYTES // (4 * depth * PANEL * LANES))


@dataclass(frozen=True)
class Line:
    """Places of a result along one axis that have the same taps.

    starts: of each, where it is in an image; before the image, if on padding.
    reach:  of each tap, how far it is from there.
    """

    places: Tensor
    starts: Tensor
    taps: Tensor
    reach: Tensor

    @property
    def side_by_side(self) -> bool:
        """Whether each tap follows the one before, in images and in filters."""
        steps = torch.cat([self.taps.diff(), self.reach.diff()])
        return len(self.taps) > 0 and bool((steps == 1).all())


@dataclass(frozen=True)
class Axis:
    """How filters move along one axis of an image, or of a result where they are transposed."""

    size: int
    kernel: int
    stride: int
    dilation: int
    pad: int
    result: int
    transposed: bool = False

    def _start(self, place: int) -> int:
        """Where a place of the result is in the image."""
        if self.transposed:
            return (place + self.pad) // self.stride
        return place * self.stride - self.pad

    def _read(self, place: int) -> Iterator[tuple[int, int]]:
        """The taps of a place, but for those on padding, and where they read the image."""
        for tap in range(self.kernel):
            if self.transposed:
                at, between = divmod(place + self.pad - tap * self.dilation, self.stride)
            else:
                at, between = place * self.stride - self.pad + tap * self.dilation, 0
            if not between and 0 <= at < self.size:
                yield tap, at

    def lines(self) -> list[Line]:
        """All places of the result."""
        found: dict[tuple[tuple[int, int], ...], list[int]] = {}
        for place in range(self.result):
            start = self._start(place)
            taps = tuple((tap, at - start) for tap, at in self._read(place))
            found.setdefault(taps, []).append(place)
        return [
            Line(
                _whole(places),
                _whole([*map(self._start, places)]),
                _whole([tap for tap, _ in taps]),
                _whole([reach for _, reach in taps]),
            )
            for taps, places in found.items()
        ]


def _whole(numbers: Sequence[int]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.int64)


@dataclass(frozen=True)
class Geometry:
    """How filters move over images, channels last in memory.

    channels, outputs: of images and results.
    """

    channels: int
    outputs: int
    rows: Axis
    columns: Axis

    @property
    def stride(self) -> int:
        """Numbers of an image."""
        return self.rows.size * self.columns.size * self.channels

    @property
    def spread(self) -> int:
        """Numbers of a result."""
        return self.rows.result * self.columns.result * self.outputs

    @property
    def taps(self) -> int:
        """Of a filter."""
        return self.rows.kernel * self.columns.kernel

    def bunch(self, kinds: int, depthwise: bool) -> int:
        """Images that share a panel of weights: enough for tiles full of pixels of any kind."""
        if kinds == 1:
            return max(1, BUNCH_ROWS * self.outputs // self.spread)
        most, room = (REST, BUNCH_BYTES_DEPTHWISE) if depthwise else (2 * ROWS, BUNCH_BYTES)
        return max(1, min(most, room // (4 * self.stride)))

    def kinds(self, depth: int) -> list[Kind]:
        """Pixels of the result, those with the same taps together.

        depth: numbers per tap. Taps that lie side by side in memory are one.
        """
        line, wide = self.columns.size * self.channels, self.columns.result
        found = []
        for down, across in product(self.rows.lines(), self.columns.lines()):
            at = _grid(down.starts * line, across.starts * self.channels)
            to = _grid(down.places * wide, across.places) * self.outputs
            joined = self.channels == depth and across.side_by_side
            count, first = (len(across.taps), 1) if joined else (1, len(across.taps))
            reach = _grid(down.reach * line, across.reach[:first] * self.channels)
            weights = _grid(down.taps * self.columns.kernel, across.taps[:first])
            numbers = torch.full_like(reach, count * depth)
            found.append(Kind(torch.stack([at, to], 1), torch.stack([reach, weights, numbers], 1)))
        return found


def _grid(rows: Tensor, columns: Tensor) -> Tensor:
    return (rows[:, None] + columns).flatten()
