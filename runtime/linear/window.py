"""Window: the members of sliding windows along one axis, the linear part of max pooling."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.linear.record import Attributes, LinearOperator, Operands


def _padding(length: int, attributes: Attributes) -> tuple[int, int]:
    mode = attributes["auto_pad"]
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        stride, reach = attributes["stride"], attributes["dilation"] * (attributes["kernel"] - 1)
        total = max((-(-length // stride) - 1) * stride + reach + 1 - length, 0)
        small = total // 2
        return (small, total - small) if mode == "SAME_UPPER" else (total - small, small)
    before, after = attributes["pads"]
    return (before, after) if mode == "NOTSET" else (0, 0)


def _window_count(length: int, before: int, after: int, attributes: Attributes) -> int:
    stride = attributes["stride"]
    span = length + before + after - attributes["dilation"] * (attributes["kernel"] - 1) - 1
    if span < 0:
        raise ModelError(f"a pooling window is larger than its padded input of {length}")
    if not attributes["ceil_mode"]:
        return int(span // stride) + 1
    count = int(-(-span // stride)) + 1
    return count - 1 if (count - 1) * stride >= length + before else count


def _indices(length: int, attributes: Attributes) -> list[int]:
    """Positions of the requested members, each moved to the nearest member inside the tensor."""
    stride, dilation = attributes["stride"], attributes["dilation"]
    before, after = _padding(length, attributes)
    indices = []
    for member in attributes["members"]:
        for window in range(_window_count(length, before, after, attributes)):
            first = window * stride - before
            last = first + (attributes["kernel"] - 1) * dilation
            index = first + member * dilation
            if index < 0:
                index += -(index // dilation) * dilation
            elif index >= length:
                index -= -((length - 1 - index) // dilation) * dilation
            if not (0 <= index < length and first <= index <= last):
                raise ModelError("a pooling window lies entirely in the padding")
            indices.append(index)
    return indices


@lru_cache(maxsize=1024)
def _index(length: int, key: tuple[tuple[str, object], ...], device: str) -> Tensor | slice:
    """The positions, as a slice where they are evenly spaced: its result is a view."""
    attributes = {name: list(v) if isinstance(v, tuple) else v for name, v in key}
    indices = _indices(length, attributes)
    stride = indices[1] - indices[0] if len(indices) > 1 else 1
    if stride > 0 and indices == list(range(indices[0], indices[-1] + 1, stride)):
        return slice(indices[0], indices[-1] + 1, stride)
    with torch.inference_mode(False):
        return torch.tensor(indices, device=device)


def window_index(length: int, attributes: Attributes, device: str) -> Tensor | slice:
    """Positions along an axis of `length` that a Window node takes, in the order of its result."""
    key = tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in attributes.items())
    return _index(length, key, device)


def _window(operands: Operands, attributes: Attributes) -> list[Tensor]:
    x = operands[0]
    assert x is not None
    axis = attributes["axis"]
    index = window_index(x.shape[axis], attributes, str(x.device))
    if isinstance(index, slice):
        before = (slice(None),) * (axis % x.dim())
        return [x[(*before, index)]]
    return [x.index_select(axis, index)]


WINDOW = LinearOperator("Window", _window, batched=True)
"""y[.., m * n + i, ..] = x[.., i * stride + member_m * dilation - pad, ..] for n windows i.

Internal to the lowered form (domain `onnx2snn`); geometry as in ONNX MaxPool-22. An index
outside the tensor is moved along the window to the nearest member inside.
"""
