"""Window: the members of sliding windows along one axis, the linear part of max pooling."""

from __future__ import annotations

from torch import Tensor

from onnx2snn.ops.windows import Geometry, window_index
from onnx2snn.runtime.linear.record import Attributes, LinearOperator, Operands


def taken_index(length: int, attributes: Attributes, device: str) -> Tensor | slice:
    """Positions along an axis of `length` that a Window node takes, in the order of its result."""
    names = ("kernel", "stride", "dilation", "ceil_mode", "auto_pad")
    geometry = Geometry(pads=tuple(attributes["pads"]), **{n: attributes[n] for n in names})
    return window_index(length, geometry, tuple(attributes["members"]), device)


def _window(operands: Operands, attributes: Attributes) -> list[Tensor]:
    x = operands[0]
    assert x is not None
    axis = attributes["axis"]
    index = taken_index(x.shape[axis], attributes, str(x.device))
    if isinstance(index, slice):
        before = (slice(None),) * (axis % x.dim())
        return [x[(*before, index)]]
    return [x.index_select(axis, index)]


WINDOW = LinearOperator("Window", _window, batched=True)
"""y[.., m * n + i, ..] = x[.., i * stride + member_m * dilation - pad, ..] for n windows i.

Internal to the lowered form (domain `onnx2snn`); geometry as in ONNX MaxPool-22. An index
outside the tensor is moved along the window to the nearest member inside.
"""
