"""Operators that rearrange, repeat, join or cut a tensor without arithmetic."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.linear.arguments import (
    axes_of,
    axis_of,
    choice,
    integers,
    needed,
    needed_attribute,
    needed_integers,
    present,
)
from onnx2snn.runtime.linear.padding import PAD
from onnx2snn.runtime.linear.record import Attributes, LinearOperator, Operands


def _reshape(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Reshape-25: 0 keeps the size at its position unless allowzero, -1 is inferred."""
    data, shape = needed(operands, 0), needed_integers(operands, 1)
    if 0 in shape and not attributes.get("allowzero", 0):
        if any(size == 0 for size in shape[data.ndim :]):
            raise ModelError(f"shape {shape} keeps axes that rank {data.ndim} does not have")
        shape = [data.shape[axis] if size == 0 else size for axis, size in enumerate(shape)]
    return [data.reshape(shape)]


def _flatten(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Flatten-25: a matrix whose rows are the axes before `axis`."""
    data, axis = needed(operands, 0), int(attributes.get("axis", 1))
    if not -data.ndim <= axis <= data.ndim:
        raise ModelError(f"axis {axis} is outside a tensor of rank {data.ndim}")
    cut = axis + data.ndim if axis < 0 else axis
    return [data.reshape(prod(data.shape[:cut]), prod(data.shape[cut:]))]


def _squeeze(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Squeeze-25: drops the named axes of size 1, or all of size 1 where none is named."""
    data, named = needed(operands, 0), integers(operands, 1)
    if named is None:
        return [data.reshape([size for size in data.shape if size != 1])]
    axes = axes_of(named, data.ndim)
    if any(data.shape[axis] != 1 for axis in axes):
        raise ModelError(f"axes {named} of shape {list(data.shape)} are not all of size 1")
    return [data.reshape([size for axis, size in enumerate(data.shape) if axis not in axes])]


def _unsqueeze(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Unsqueeze-25: inserts axes of size 1 at positions of the result."""
    data, named = needed(operands, 0), needed_integers(operands, 1)
    shape = list(data.shape)
    for axis in sorted(axes_of(named, data.ndim + len(named))):
        shape.insert(axis, 1)
    return [data.reshape(shape)]


def _transpose(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Transpose-25: axis i of the result is axis perm[i]; reversed by default."""
    data = needed(operands, 0)
    order = attributes.get("perm")
    return [data.permute(*(range(data.ndim)[::-1] if order is None else order))]


def _concat(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Concat-13: the operands one after another along `axis`."""
    parts = present(operands)
    return [torch.cat(parts, axis_of(int(needed_attribute(attributes, "axis")), parts[0].ndim))]


def _split(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Split-18: parts of the sizes `split`, or num_outputs parts, the last one smaller."""
    data, sizes = needed(operands, 0), integers(operands, 1)
    axis = axis_of(int(attributes.get("axis", 0)), data.ndim)
    size = data.shape[axis]
    if sizes is None:
        count = int(needed_attribute(attributes, "num_outputs"))
        part = -(-size // count) if count > 0 else 0
        sizes = [part] * (count - 1) + [size - part * (count - 1)]
    if not sizes or min(sizes) < 0 or sum(sizes) != size:
        raise ModelError(f"cannot split {size} into {sizes}")
    return list(torch.split(data, sizes, axis))


def _expand(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Expand-13: both the operand's shape and `shape` are broadcast against each other."""
    data, shape = needed(operands, 0), needed_integers(operands, 1)
    missing = max(len(shape) - data.ndim, 0)
    shape = [1] * (data.ndim - len(shape)) + shape
    sizes = [1] * missing + list(data.shape)
    return [data.expand([old if new == 1 else new for old, new in zip(sizes, shape, strict=True)])]


def _tile(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Tile-13: the operand repeated `repeats` times along each axis."""
    data, repeats = needed(operands, 0), needed_integers(operands, 1)
    if len(repeats) != data.ndim:
        raise ModelError(f"{len(repeats)} repeats given for a tensor of rank {data.ndim}")
    return [data.repeat(repeats)]


def _blocks(data: Tensor, attributes: Attributes) -> tuple[int, str]:
    block, mode = (
        int(needed_attribute(attributes, "blocksize")),
        choice(attributes, "mode", ("DCR", "CRD")),
    )
    if data.ndim != 4 or block < 1:
        raise ModelError(f"rank 4 and a positive block expected, not {data.ndim} and {block}")
    return block, mode


def _depth_to_space(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """DepthToSpace-28: [N, b b C, H, W] -> [N, C, H b, W b]; CRD puts C before the blocks."""
    data = needed(operands, 0)
    block, mode = _blocks(data, attributes)
    batch, _, height, width = data.shape
    if mode == "DCR":
        split = data.reshape(batch, block, block, -1, height, width)
        order = (0, 3, 4, 1, 5, 2)
    else:
        split = data.reshape(batch, -1, block, block, height, width)
        order = (0, 1, 4, 2, 5, 3)
    return [split.permute(order).reshape(batch, -1, height * block, width * block)]


def _space_to_depth(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """SpaceToDepth-28: [N, C, H b, W b] -> [N, b b C, H, W], the inverse of DepthToSpace."""
    data = needed(operands, 0)
    block, mode = _blocks(data, attributes)
    batch, channels, height, width = data.shape
    if height % block or width % block:
        raise ModelError(f"{height} x {width} is not a whole number of blocks of {block}")
    high, wide = height // block, width // block
    split = data.reshape(batch, channels, high, block, wide, block)
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    return [split.permute(order).reshape(batch, channels * block * block, high, wide)]


SHAPE = (
    LinearOperator("Reshape", _reshape),
    LinearOperator("Flatten", _flatten),
    LinearOperator("Squeeze", _squeeze),
    LinearOperator("Unsqueeze", _unsqueeze),
    LinearOperator("Transpose", _transpose),
    LinearOperator("Concat", _concat, factors=(), variadic=True),
    LinearOperator("Split", _split),
    LinearOperator("Expand", _expand),
    LinearOperator("Tile", _tile),
    PAD,
    LinearOperator("DepthToSpace", _depth_to_space),
    LinearOperator("SpaceToDepth", _space_to_depth),
)
