"""Average pooling: linear, unlike maximum pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.linear.arguments import (
    begin_end,
    needed,
    needed_attribute,
    per_axis,
    spatial_rank,
)
from onnx2snn.runtime.linear.convolution import window_pads
from onnx2snn.runtime.linear.record import Attributes, LinearOperator, Operands

_AVERAGE = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)
_CONV = (F.conv1d, F.conv2d, F.conv3d)


def _windows(size: int, begin: int, end: int, reach: int, stride: int, ceil: bool) -> int:
    """Number of windows of `reach` cells; with ceil none may start in the end padding."""
    room = size + begin + end - reach
    if room < 0:
        raise ModelError(f"a window of {reach} does not fit {size} cells and their padding")
    if not ceil:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= size + begin else count


def _cells(
    size: int, begin: int, end: int, width: int, stride: int, dilation: int, windows: int, pad: bool
) -> list[int]:
    """Cells that each window averages over along one axis, padding among them if `pad`."""
    low, high = (-begin, size + end) if pad else (0, size)
    starts = range(-begin, -begin + windows * stride, stride)
    return [sum(low <= start + step * dilation < high for step in range(width)) for start in starts]


@dataclass(frozen=True)
class Averages:
    """The windows of an AveragePool along one axis, and the cells that each averages over."""

    width: int
    stride: int
    dilation: int
    begin: int
    end: int
    cells: tuple[int, ...]


def averages(sizes: Sequence[int], attributes: Attributes) -> list[Averages]:
    """The windows over spatial axes of these sizes."""
    rank = len(sizes)
    needed_attribute(attributes, "kernel_shape")
    kernel = per_axis(attributes, "kernel_shape", rank, 1)
    strides = per_axis(attributes, "strides", rank, 1)
    dilations = per_axis(attributes, "dilations", rank, 1)
    pads = window_pads(sizes, kernel, strides, dilations, attributes)
    counting, ceil = bool(attributes.get("count_include_pad", 0)), attributes.get("ceil_mode", 0)
    found = []
    for size, width, stride, dilation, begin, end in zip(
        sizes, kernel, strides, dilations, pads[:rank], pads[rank:], strict=True
    ):
        reach = (width - 1) * dilation + 1
        windows = _windows(size, begin, end, reach, stride, bool(ceil))
        cells = _cells(size, begin, end, width, stride, dilation, windows, counting)
        found.append(Averages(width, stride, dilation, begin, end, tuple(cells)))
    return found


def cells_of(axes: Sequence[Averages]) -> Tensor:
    """Cells of all windows, shape [windows along each axis]."""
    cells = torch.ones(())
    for axis in axes:
        cells = cells[..., None] * torch.tensor(axis.cells, dtype=cells.dtype)
    return cells


def _average_pool(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """AveragePool-22: y = sum of a window / number of its cells."""
    data = needed(operands, 0)
    rank = spatial_rank(data)
    axes = averages(data.shape[2:], attributes)
    plain = all(a.begin == a.end and 0 <= 2 * a.begin <= a.width and a.dilation == 1 for a in axes)
    if not plain or attributes.get("ceil_mode", 0):
        return [_general_average(data, axes)]
    kernel, strides, pads = ([getattr(a, n) for a in axes] for n in ("width", "stride", "begin"))
    counting = bool(attributes.get("count_include_pad", 0))
    return [_AVERAGE[rank - 1](data, kernel, strides, pads, False, counting)]


def _general_average(data: Tensor, axes: Sequence[Averages]) -> Tensor:
    """Window sums by a convolution with ones, divided by the cells of each window."""
    batch, channels = data.shape[:2]
    ends = [
        (len(a.cells) - 1) * a.stride + (a.width - 1) * a.dilation + 1 - a.begin - size
        for a, size in zip(axes, data.shape[2:], strict=True)
    ]
    padded = F.pad(data, begin_end([*(a.begin for a in axes), *ends]))
    lanes = padded.reshape(batch * channels, 1, *padded.shape[2:])
    ones = torch.ones((1, 1, *(a.width for a in axes)), dtype=data.dtype, device=data.device)
    strides, dilations = [a.stride for a in axes], [a.dilation for a in axes]
    sums = _CONV[len(axes) - 1](lanes, ones, None, strides, 0, dilations)
    return sums.reshape(batch, channels, *sums.shape[2:]) / cells_of(axes).to(data)


def _global_average_pool(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """GlobalAveragePool-22: y = mean over all spatial axes, kept with size 1."""
    data = needed(operands, 0)
    if data.ndim < 3:
        return [data]
    return [data.mean(dim=tuple(range(2, data.ndim)), keepdim=True)]


AVERAGE_POOL = LinearOperator("AveragePool", _average_pool, batched=True)
POOLING = (
    AVERAGE_POOL,
    LinearOperator("GlobalAveragePool", _global_average_pool, batched=True),
)
