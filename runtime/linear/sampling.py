"""Operators that sample or scatter at constant positions: GridSample, MaxUnpool, Col2Im."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.linear.arguments import (
    begin_end,
    choice,
    integers,
    needed,
    needed_attribute,
    needed_integers,
    per_axis,
)
from onnx2snn.runtime.linear.record import Attributes, LinearOperator, Operands

_MODES = {"linear": "bilinear", "bilinear": "bilinear", "nearest": "nearest"}
_MODES |= {"cubic": "bicubic", "bicubic": "bicubic"}


def _grid_sample(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """GridSample-22: x interpolated at the positions of `grid`, linear in x."""
    data, grid = needed(operands, 0), needed(operands, 1)
    mode = _MODES[choice(attributes, "mode", tuple(_MODES))]
    padding = choice(attributes, "padding_mode", ("zeros", "border", "reflection"))
    aligned = bool(attributes.get("align_corners", 0))
    if data.ndim not in (4, 5) or (data.ndim == 5 and mode == "bicubic"):
        raise ModelError(f"mode {mode} of a tensor of rank {data.ndim} is not supported")
    kind = torch.promote_types(data.dtype, torch.float32)
    sampled = F.grid_sample(data.to(kind), grid.to(kind), mode, padding, aligned)
    return [sampled.to(data.dtype)]


def _max_unpool(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """MaxUnpool-22: x at its places in a tensor of zeros, linear in x."""
    data, places = needed(operands, 0), needed(operands, 1)
    kernel = [int(size) for size in needed_attribute(attributes, "kernel_shape")]
    rank = len(kernel)
    strides = per_axis(attributes, "strides", rank, 1)
    pads = per_axis(attributes, "pads", 2 * rank, 0)
    spatial = [
        (size - 1) * strides[i] + kernel[i] - pads[i] - pads[i + rank]
        for i, size in enumerate(data.shape[2:])
    ]
    inferred = [*data.shape[:2], *spatial]
    index = places.to(device=data.device, dtype=torch.int64).reshape(-1)
    result = data.new_zeros(prod(inferred)).scatter(0, index, data.reshape(-1)).reshape(inferred)
    shape = integers(operands, 2) or inferred
    missing = [wanted - size for wanted, size in zip(shape, inferred, strict=True)]
    return [F.pad(result, begin_end([0] * len(missing) + missing))]


def _places(
    size: int, block: int, stride: int, dilation: int, begin: int, end: int, device: torch.device
) -> Tensor:
    """Along one axis of the image, where each cell of a block lies at each of its positions."""
    count = (size + begin + end - dilation * (block - 1) - 1) // stride + 1
    cells = torch.arange(block, device=device) * dilation
    return cells[:, None] + torch.arange(count, device=device) * stride - begin


def _col2im(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Col2Im-18: [N, C * block, positions] -> [N, C, *image], what overlaps is added."""
    data = needed(operands, 0)
    image, block = needed_integers(operands, 1), needed_integers(operands, 2)
    rank = len(image)
    strides = per_axis(attributes, "strides", rank, 1)
    dilations = per_axis(attributes, "dilations", rank, 1)
    pads = per_axis(attributes, "pads", 2 * rank, 0)
    index = torch.zeros((), dtype=torch.int64, device=data.device)
    inside = torch.ones((), dtype=torch.bool, device=data.device)
    for i, size in enumerate(image):
        places = _places(
            *(size, block[i], strides[i], dilations[i], pads[i], pads[i + rank], data.device)
        )
        own = [1] * (2 * rank)
        own[i], own[i + rank] = places.shape
        index = index * size + places.clamp(0, size - 1).reshape(own)
        inside = inside & ((places >= 0) & (places < size)).reshape(own)
    values = data.reshape(data.shape[0], -1, inside.numel())
    values = torch.where(inside.reshape(-1), values, 0.0)
    result = data.new_zeros(*values.shape[:2], prod(image))
    summed = result.index_add(2, index.reshape(-1), values)
    return [summed.reshape(*values.shape[:2], *image)]


SAMPLING = (
    LinearOperator("GridSample", _grid_sample),
    LinearOperator("MaxUnpool", _max_unpool),
    LinearOperator("Col2Im", _col2im, batched=True),
)
