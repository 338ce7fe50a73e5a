"""Sliding windows in float64: pads, and the strided slices that hold one member of each window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from onnx2snn.export.writer import Shape, Writer
from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.linear.arguments import per_axis
from onnx2snn.runtime.linear.convolution import window_pads

_END = 2**63 - 1


@dataclass(frozen=True)
class Sliding:
    """Windows over the spatial axes 2, 3, ...; pads as in ONNX, [b1, b2, .., e1, e2, ..]."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]

    @property
    def axes(self) -> list[int]:
        """The spatial axes."""
        return [2 + i for i in range(len(self.kernel))]

    @property
    def reach(self) -> list[int]:
        """Cells from a window's first member to its last."""
        return [d * (k - 1) for d, k in zip(self.dilations, self.kernel, strict=True)]

    def members(self) -> Iterator[tuple[int, ...]]:
        """Positions in the kernel, in its memory order."""
        return product(*map(range, self.kernel))

    def member(self, writer: Writer, padded: str, position: Sequence[int]) -> str:
        """The members at one position of all windows, of padded data."""
        starts = [p * d for p, d in zip(position, self.dilations, strict=True)]
        behind = [reach - start for reach, start in zip(self.reach, starts, strict=True)]
        return members(writer, padded, self.axes, starts, behind, self.strides)


def members(
    writer: Writer,
    x: str,
    axes: Sequence[int],
    starts: Sequence[int],
    behind: Sequence[int],
    strides: Sequence[int],
) -> str:
    """Every `stride`-th cell along `axes` from `start` on, without the last `behind` ones."""
    ends = [-b if b else _END for b in behind]
    operands = (writer.constant(list(values)) for values in (starts, ends, axes, strides))
    return writer.call("Slice", x, *operands, hint="members")


def known_rank(writer: Writer, x: str) -> int:
    """The rank of a tensor; ModelError where it is open."""
    shape = writer.shapes.get(x)
    if shape is None:
        raise ModelError("its input's rank is unknown; export with --precision float32")
    return len(shape)


def spatial_sizes(shape: Shape | None, why: str) -> list[int]:
    """The spatial sizes of a shape; ModelError, with the reason, where they are open."""
    sizes = [size for size in (shape or ())[2:] if isinstance(size, int)]
    if shape is None or len(sizes) < len(shape) - 2:
        raise ModelError(
            f"{why} needs fixed spatial sizes in float64; export with --precision float32"
        )
    return sizes


def sliding(kernel: Sequence[int], attributes: Mapping[str, Any], shape: Shape | None) -> Sliding:
    """The windows that an operator's attributes describe, on data of `shape`."""
    rank = len(kernel)
    strides = per_axis(attributes, "strides", rank, 1)
    dilations = per_axis(attributes, "dilations", rank, 1)
    mode = attributes.get("auto_pad", "NOTSET")
    sizes = [0] * rank
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        sizes = spatial_sizes(shape, f"auto_pad {mode}")
    pads = window_pads(sizes, kernel, strides, dilations, attributes)
    return Sliding(tuple(kernel), tuple(strides), tuple(dilations), tuple(pads))


def pad(writer: Writer, x: str, pads: Sequence[int], fill: float = 0.0) -> str:
    """`x` with cells added (or cut off, where negative) on its last axes."""
    if not any(pads):
        return x
    half = len(pads) // 2
    axes = writer.constant([2 + i for i in range(half)])
    operands = (writer.constant(list(pads)), writer.constant(fill), axes)
    return writer.call("Pad", x, *operands, hint="padded")
