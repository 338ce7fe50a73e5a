"""Sliding windows along axes: which positions their members take (geometry of ONNX MaxPool-22)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod

import torch
from torch import Tensor

from onnx2snn.ops.errors import ModelError


@dataclass(frozen=True)
class Geometry:
    """Windows along one axis; attributes as in ONNX, `pads` before and after."""

    kernel: int
    stride: int = 1
    dilation: int = 1
    pads: tuple[int, int] = (0, 0)
    ceil_mode: int = 0
    auto_pad: str = "NOTSET"

    def padding(self, length: int) -> tuple[int, int]:
        """Cells before and after an axis of `length`."""
        if self.auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            reach = self.dilation * (self.kernel - 1)
            total = max((-(-length // self.stride) - 1) * self.stride + reach + 1 - length, 0)
            small, large = total // 2, total - total // 2
            return (small, large) if self.auto_pad == "SAME_UPPER" else (large, small)
        return self.pads if self.auto_pad == "NOTSET" else (0, 0)

    def count(self, length: int) -> int:
        """The number of windows."""
        before, after = self.padding(length)
        span = length + before + after - self.dilation * (self.kernel - 1) - 1
        if span < 0:
            raise ModelError(f"a pooling window is larger than its padded input of {length}")
        if not self.ceil_mode:
            return span // self.stride + 1
        count = -(-span // self.stride) + 1
        return count - 1 if (count - 1) * self.stride >= length + before else count

    def positions(self, length: int, member: int) -> Iterator[int]:
        """Of a member of every window, moved to the nearest member inside the tensor."""
        before, _ = self.padding(length)
        for window in range(self.count(length)):
            first = window * self.stride - before
            last = first + (self.kernel - 1) * self.dilation
            index = first + member * self.dilation
            if index < 0:
                index += -(index // self.dilation) * self.dilation
            elif index >= length:
                index -= -((length - 1 - index) // self.dilation) * self.dilation
            if not (0 <= index < length and first <= index <= last):
                raise ModelError("a pooling window lies entirely in the padding")
            yield index


@lru_cache(maxsize=1024)
def window_index(
    length: int, geometry: Geometry, members: tuple[int, ...], device: str
) -> Tensor | slice:
    """Positions of members along an axis of `length`, member after member.

    A slice where they are evenly spaced: what it takes of a tensor is a view.
    """
    indices = [i for member in members for i in geometry.positions(length, member)]
    stride = indices[1] - indices[0] if len(indices) > 1 else 1
    if stride > 0 and indices == list(range(indices[0], indices[-1] + 1, stride)):
        return slice(indices[0], indices[-1] + 1, stride)
    with torch.inference_mode(False):
        return torch.tensor(indices, device=device)


@dataclass(frozen=True)
class Windows:
    """Windows over the last axes of a tensor, one geometry for each of them."""

    geometries: tuple[Geometry, ...]

    @property
    def size(self) -> int:
        """Members of a window."""
        return prod(geometry.kernel for geometry in self.geometries)

    def members(self, x: Tensor) -> list[Tensor]:
        """The first member of every window, the second, and so on; the last axis runs fastest."""
        found, rank = [x], len(self.geometries)
        for i, geometry in enumerate(self.geometries):
            found = [
                _taken(part, i - rank, geometry, member)
                for part, member in product(found, range(geometry.kernel))
            ]
        return found

    def places(self, extents: Sequence[int], device: torch.device) -> Tensor:
        """The members' positions in the last axes, of these `extents`, counted as one axis.

        Shape [members, windows], integers of 32 bits.
        """
        return _places(self, tuple(extents), device)


def _taken(x: Tensor, axis: int, geometry: Geometry, member: int) -> Tensor:
    index = window_index(x.shape[axis], geometry, (member,), str(x.device))
    if isinstance(index, Tensor):
        return x.index_select(axis, index)
    taken: Tensor = x.transpose(axis, 0)[index].transpose(axis, 0)
    return taken


@lru_cache(maxsize=256)
def _places(windows: Windows, extents: tuple[int, ...], device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        cells = torch.arange(prod(extents), dtype=torch.int32, device=device).reshape(extents)
        return torch.stack([part.flatten() for part in windows.members(cells)])
