"""Average pooling: linear, unlike maximum pooling."""

from __future__ import annotations

from collections.abc import Sequence

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


def _average_pool(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """AveragePool-22: y = sum of a window / number of its cells."""
    data = needed(operands, 0)
    rank = spatial_rank(data)
    needed_attribute(attributes, "kernel_shape")
    kernel = per_axis(attributes, "kernel_shape", rank, 1)
    strides = per_axis(attributes, "strides", rank, 1)
    dilations = per_axis(attributes, "dilations", rank, 1)
    pads = window_pads(data.shape[2:], kernel, strides, dilations, attributes)
    count_pads = bool(attributes.get("count_include_pad", 0))
    ceil = bool(attributes.get("ceil_mode", 0))
    even = pads[:rank] == pads[rank:]
    small = all(0 <= 2 * pad <= width for pad, width in zip(pads, kernel * 2, strict=True))
    if even and small and not ceil and set(dilations) == {1}:
        return [_AVERAGE[rank - 1](data, kernel, strides, pads[:rank], False, count_pads)]
    return [_general_average(data, kernel, strides, dilations, pads, ceil, count_pads)]


def _general_average(
    data: Tensor,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Sequence[int],
    ceil: bool,
    count_pads: bool,
) -> Tensor:
    """Window sums by a convolution with ones, divided by the cells of each window."""
    rank, batch, channels = len(kernel), data.shape[0], data.shape[1]
    ends = list(pads[rank:])
    cells = torch.ones((), dtype=data.dtype, device=data.device)
    for axis, size in enumerate(data.shape[2:]):
        begin, width, stride = pads[axis], kernel[axis], strides[axis]
        reach = (width - 1) * dilations[axis] + 1
        windows = _windows(size, begin, ends[axis], reach, stride, ceil)
        counts = _cells(
            size, begin, ends[axis], width, stride, dilations[axis], windows, count_pads
        )
        shape = (-1,) + (1,) * (rank - 1 - axis)
        cells = cells * torch.tensor(counts, dtype=data.dtype, device=data.device).reshape(shape)
        ends[axis] = (windows - 1) * stride + reach - begin - size
    padded = F.pad(data, begin_end([*pads[:rank], *ends]))
    lanes = padded.reshape(batch * channels, 1, *padded.shape[2:])
    ones = torch.ones((1, 1, *kernel), dtype=data.dtype, device=data.device)
    sums = _CONV[rank - 1](lanes, ones, None, strides, 0, dilations)
    return sums.reshape(batch, channels, *sums.shape[2:]) / cells


def _global_average_pool(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """GlobalAveragePool-22: y = mean over all spatial axes, kept with size 1."""
    data = needed(operands, 0)
    if data.ndim < 3:
        return [data]
    return [data.mean(dim=tuple(range(2, data.ndim)), keepdim=True)]


POOLING = (
    LinearOperator("AveragePool", _average_pool, batched=True),
    LinearOperator("GlobalAveragePool", _global_average_pool, batched=True),
)
