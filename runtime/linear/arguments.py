"""Reading operands and attributes: absent ones, integer lists, axes, pads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.linear.record import Attributes, Operands


def optional(operands: Operands, position: int) -> Tensor | None:
    """The operand at `position`, None where it is absent or cut off."""
    return operands[position] if position < len(operands) else None


def needed(operands: Operands, position: int) -> Tensor:
    """The operand at `position`, which the operator cannot do without."""
    tensor = operands[position] if position < len(operands) else None
    if tensor is None:
        raise ModelError(f"operand {position} is missing")
    return tensor


def present(operands: Operands) -> list[Tensor]:
    """All operands of a variadic operator, at least one and none of them absent."""
    if not operands:
        raise ModelError("at least one operand is needed")
    return [needed(operands, position) for position in range(len(operands))]


def integers(operands: Operands, position: int) -> list[int] | None:
    """A small integer operand (shape, axes, pads) as a list; None where absent."""
    tensor = optional(operands, position)
    if tensor is None:
        return None
    if tensor.is_floating_point():
        raise ModelError(f"operand {position} must hold integers, it holds {tensor.dtype}")
    values: list[int] = tensor.reshape(-1).tolist()
    return values


def needed_integers(operands: Operands, position: int) -> list[int]:
    """A small integer operand that the operator cannot do without."""
    values = integers(operands, position)
    if values is None:
        raise ModelError(f"operand {position} is missing")
    return values


def needed_attribute(attributes: Attributes, name: str) -> Any:
    """An attribute that the ONNX specification gives no default."""
    if name not in attributes:
        raise ModelError(f"attribute '{name}' is missing")
    return attributes[name]


def choice(attributes: Attributes, name: str, allowed: Sequence[str]) -> str:
    """A string attribute out of `allowed`, of which the first is the default."""
    value = str(attributes.get(name, allowed[0]))
    if value not in allowed:
        raise ModelError(f"attribute '{name}' is '{value}', expected one of {', '.join(allowed)}")
    return value


def per_axis(attributes: Attributes, name: str, count: int, default: int) -> list[int]:
    """An integer list attribute with one entry per spatial axis (or `count` in general)."""
    values = attributes.get(name)
    if values is None or len(values) == 0:
        return [default] * count
    if len(values) != count:
        raise ModelError(f"attribute '{name}' has {len(values)} entries, expected {count}")
    return [int(value) for value in values]


def axis_of(axis: int, rank: int) -> int:
    """`axis` counted from the front; negative ones count from the back."""
    if not -rank <= axis < rank:
        raise ModelError(f"axis {axis} is outside a tensor of rank {rank}")
    return axis % rank


def axes_of(axes: Sequence[int], rank: int) -> list[int]:
    """Axes counted from the front, each named once."""
    found = [axis_of(axis, rank) for axis in axes]
    if len(set(found)) != len(found):
        raise ModelError(f"axes {list(axes)} name one axis twice")
    return found


def spatial_rank(data: Tensor, supported: int = 3) -> int:
    """Number of axes behind batch and channel, 1 up to `supported`."""
    rank = data.ndim - 2
    if not 1 <= rank <= supported:
        raise ModelError(f"rank {data.ndim} given, supported are 3 to {supported + 2}")
    return rank


def begin_end(pads: Sequence[int]) -> list[int]:
    """ONNX pads [b1, b2, e1, e2] in torch's order [b2, e2, b1, e1]."""
    half = len(pads) // 2
    return [pads[side + axis] for axis in reversed(range(half)) for side in (0, half)]


def wrapped(indices: Tensor, size: int, device: torch.device) -> Tensor:
    """Indices as int64 on `device`, negative ones counted from the end of an axis of `size`.

    Their range is checked before they leave the CPU: a GPU would answer with a device assert.
    """
    if indices.is_floating_point():
        raise ModelError(f"indices must be integers, they are {indices.dtype}")
    if indices.device != device and indices.device.type == "cpu" and indices.numel():
        low, high = int(indices.min()), int(indices.max())
        if low < -size or high >= size:
            raise ModelError(f"indices {low} to {high} are out of range for an axis of {size}")
    index = indices.to(device=device, dtype=torch.int64)
    return torch.where(index < 0, index + size, index)
