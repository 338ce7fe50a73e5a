"""Resize: interpolation along one axis after another, each a constant matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.linear.arguments import axes_of, choice, integers, needed, optional
from onnx2snn.runtime.linear.record import Attributes, LinearOperator, Operands

_COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)
_NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
_POLICIES = ("stretch", "not_larger", "not_smaller")
_Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class _Axis:
    """Everything that decides how one axis of `size` cells becomes one of `target` cells."""

    size: int
    target: int
    scale: float
    start: float
    end: float
    mode: str
    coordinates: str
    nearest: str
    cubic: float
    exclude: bool
    extrapolation: float

    @property
    def is_identity(self) -> bool:
        """Whether the axis is left as it is."""
        whole = self.coordinates != "tf_crop_and_resize" or (self.start, self.end) == (0.0, 1.0)
        return whole and self.size == self.target and self.scale == 1.0

    def positions(self) -> _Array:
        """The place in the source axis that each target cell samples.

        Nearest neighbours are decided in float32 as onnxruntime does: ties depend on it.
        """
        kind = np.float32 if self.mode == "nearest" else np.float64
        cell: _Array = np.arange(self.target, dtype=kind)
        size, target, scale = kind(self.size), kind(self.target), kind(self.scale)
        half = kind(0.5)
        match self.coordinates:
            case "asymmetric":
                return cell / scale
            case "align_corners":
                return cell * (size - 1) / max(target - 1, kind(1))
            case "pytorch_half_pixel" if self.target == 1:
                return cell * 0
            case "half_pixel_symmetric":
                margin = size / 2 * (1 - target / (scale * size))
                return margin + (cell + half) / scale - half
            case "tf_crop_and_resize":
                return self._cropped(cell)
        return (cell + half) / scale - half

    def _cropped(self, cell: _Array) -> _Array:
        start, end, last = self.start, self.end, self.size - 1
        if self.target == 1:
            return cell + 0.5 * (start + end) * last
        place = start * last + cell * (end - start) * last / (self.target - 1)
        if self.extrapolation and ((place < 0) | (place > last)).any():
            raise ModelError("extrapolation_value other than 0 is not supported")
        return place

    def neighbours(self) -> tuple[NDArray[np.int64], _Array]:
        """Source cells [target, n] and their weights for each target cell."""
        place = self.positions()
        weights: _Array
        if self.mode == "nearest":
            cells, weights = self._nearest(place), np.ones((self.target, 1), place.dtype)
        else:
            base = np.floor(place)
            offsets, coefficients = self._kernel(place - base)
            cells, weights = (base[:, None] + offsets).astype(np.int64), coefficients
        outside = (cells < 0) | (cells >= self.size)
        if self.exclude and self.mode != "nearest":
            weights = np.where(outside, 0, weights)
            weights = weights / weights.sum(1, keepdims=True)
        if self.coordinates == "tf_crop_and_resize":
            beyond = (place < 0) | (place > self.size - 1)
            weights = np.where(beyond[:, None], 0, weights)
        return cells.clip(0, self.size - 1), weights

    def _nearest(self, place: _Array) -> NDArray[np.int64]:
        match self.nearest:
            case "floor":
                cells = np.floor(place)
            case "ceil":
                cells = np.ceil(place)
            case "round_prefer_ceil":
                cells = np.floor(place + place.dtype.type(0.5))
            case _:
                cells = np.ceil(place - place.dtype.type(0.5))
        return cells.astype(np.int64)[:, None]

    def _kernel(self, ratio: _Array) -> tuple[NDArray[np.int64], _Array]:
        """Offsets of the neighbours and the weights at `ratio` beyond the cell below."""
        if self.mode == "linear":
            return np.arange(2), np.stack([1 - ratio, ratio], 1)
        a = self.cubic
        far, near = np.stack([ratio + 1, 2 - ratio]), np.stack([ratio, 1 - ratio])
        outer = ((a * far - 5 * a) * far + 8 * a) * far - 4 * a
        inner = ((a + 2) * near - (a + 3)) * near * near + 1
        return np.arange(-1, 3), np.stack([outer[0], inner[0], inner[1], outer[1]], 1)


@lru_cache(maxsize=256)
def axis_table(axis: _Axis, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Indices [target] for plain nearest neighbours, else the matrix [target, size]."""
    cells, weights = axis.neighbours()
    with torch.inference_mode(False):
        if is_lookup(axis):
            return torch.from_numpy(cells[:, 0]).to(device)
        matrix = np.zeros((axis.target, axis.size))
        np.add.at(matrix, (np.arange(axis.target)[:, None], cells), weights)
        return torch.from_numpy(matrix).to(device=device, dtype=dtype)


def is_lookup(axis: _Axis) -> bool:
    """Whether every cell of the result is a copy of one cell of the axis."""
    return axis.mode == "nearest" and axis.coordinates != "tf_crop_and_resize"


def _resize(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Resize-19: y = (M1 x M2 x ...) x with one interpolation matrix per axis."""
    data = needed(operands, 0)
    for position, axis in resized_axes(data, operands, attributes):
        if axis.is_identity:
            continue
        table = axis_table(axis, data.device, data.dtype)
        if is_lookup(axis):
            data = data.index_select(position, table)
        else:
            data = torch.matmul(data.movedim(position, -1), table.t()).movedim(-1, position)
    return [data]


def resized_axes(
    data: Tensor, operands: Operands, attributes: Attributes
) -> list[tuple[int, _Axis]]:
    """The resized axes of `data` with what happens to each."""
    if attributes.get("antialias", 0):
        raise ModelError("antialias is not supported")
    named = attributes.get("axes")
    axes = list(range(data.ndim)) if named is None else axes_of(named, data.ndim)
    mode = choice(attributes, "mode", ("nearest", "linear", "cubic"))
    coordinates = choice(attributes, "coordinate_transformation_mode", _COORDINATES)
    starts, ends = [0.0] * len(axes), [1.0] * len(axes)
    if coordinates == "tf_crop_and_resize":
        roi = needed(operands, 1).tolist()
        starts, ends = roi[: len(axes)], roi[len(axes) :]
    sizes = [data.shape[axis] for axis in axes]
    spans = [end - start for start, end in zip(starts, ends, strict=True)]
    targets, scales = _targets(sizes, spans, operands, attributes)
    common: dict[str, Any] = {
        "mode": mode,
        "coordinates": coordinates,
        "nearest": choice(attributes, "nearest_mode", _NEAREST),
        "cubic": float(attributes.get("cubic_coeff_a", -0.75)),
        "exclude": bool(attributes.get("exclude_outside", 0)),
        "extrapolation": float(attributes.get("extrapolation_value", 0.0)),
    }
    columns = zip(axes, sizes, targets, scales, starts, ends, strict=True)
    return [(axis, _Axis(*settings, **common)) for axis, *settings in columns]


def _targets(
    sizes: Sequence[int], spans: Sequence[float], operands: Operands, attributes: Attributes
) -> tuple[list[int], list[float]]:
    """Sizes of the result and scales, from the operand `scales` or `sizes`."""
    given, targets = optional(operands, 2), integers(operands, 3)
    policy = choice(attributes, "keep_aspect_ratio_policy", _POLICIES)
    if given is not None and given.numel():
        scales = [float(scale) for scale in given.tolist()]
        if len(scales) != len(sizes):
            raise ModelError(f"{len(scales)} scales given for {len(sizes)} axes")
        # The product in float32, as shape inference has it: 10 * 0.7 is 7, not 6.
        rows = [np.array(row, np.float32) for row in (sizes, spans, scales)]
        return [int(size) for size in np.floor(rows[0] * rows[1] * rows[2])], scales
    if not targets or len(targets) != len(sizes):
        raise ModelError(f"scales or sizes are needed for {len(sizes)} axes")
    scales = [target / size for target, size in zip(targets, sizes, strict=True)]
    if policy != "stretch":
        scale = min(scales) if policy == "not_larger" else max(scales)
        scales = [scale] * len(sizes)
        targets = [int(np.floor(scale * size + 0.5)) for size in sizes]
    return targets, scales


RESIZE = (LinearOperator("Resize", _resize),)
