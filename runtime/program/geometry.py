"""Which numbers each pixel of a convolution's result is summed from."""

from __future__ import annotations

from collections.abc import Sequence
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
class Axis:
    """How filters move along one axis of an image."""

    size: int
    kernel: int
    stride: int
    dilation: int
    pad: int
    result: int

    def starts(self, places: Tensor) -> Tensor:
        """Where the first taps of places of the result are; before the image, if on padding."""
        return places * self.stride - self.pad

    def kinds(self) -> list[tuple[Tensor, Tensor]]:
        """Places of the result, and the taps they have: those that do not fall on padding."""
        found: dict[tuple[int, ...], list[int]] = {}
        for place in range(self.result):
            start = place * self.stride - self.pad
            inside = (0 <= start + tap * self.dilation < self.size for tap in range(self.kernel))
            found.setdefault(tuple(i for i, x in enumerate(inside) if x), []).append(place)
        return [(_whole(places), _whole(taps)) for taps, places in found.items()]


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
        for (down, heights), (across, widths) in product(self.rows.kinds(), self.columns.kinds()):
            at = _grid(self.rows.starts(down) * line, self.columns.starts(across) * self.channels)
            to = _grid(down * wide, across) * self.outputs
            apart = self.rows.dilation * line, self.columns.dilation * self.channels
            joined = apart[1] == depth and len(widths) > 0
            count, widths = (len(widths), widths[:1]) if joined else (1, widths)
            reach = _grid(heights * apart[0], widths * apart[1])
            weights = _grid(heights * self.columns.kernel, widths)
            numbers = torch.full_like(reach, count * depth)
            found.append(Kind(torch.stack([at, to], 1), torch.stack([reach, weights, numbers], 1)))
        return found


def _grid(rows: Tensor, columns: Tensor) -> Tensor:
    return (rows[:, None] + columns).flatten()
