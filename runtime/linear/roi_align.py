"""RoiAlign by averages: linear in the image for regions that do not change over time."""

from __future__ import annotations

from math import ceil

import torch
from torch import Tensor

from onnx2snn.runtime.linear.arguments import choice, needed
from onnx2snn.runtime.linear.record import Attributes, LinearOperator, Operands


def _samples(start: float, extent: float, bins: int, each: int) -> Tensor:
    """Where `bins` bins are sampled, at `each` points in each; [bins, each]."""
    points = (torch.arange(each, dtype=torch.float64) + 0.5) / each
    return start + (torch.arange(bins)[:, None] + points) * extent / bins


def _weights(places: Tensor, size: int) -> Tensor:
    """What each cell of an axis adds to the mean of a bin; [bins, size].

    A point between two cells takes from both; one more than a cell outside takes nothing.
    """
    inside = ((places >= -1) & (places <= size)).double()
    held = places.clamp(0, size - 1)
    low = held.floor().long().clamp(max=size - 1)
    share = (held - low) * inside
    cells = torch.zeros(*places.shape, size, dtype=torch.float64)
    cells.scatter_(-1, low[..., None], (inside - share)[..., None])
    cells.scatter_add_(-1, (low + 1).clamp(max=size - 1)[..., None], share[..., None])
    return cells.mean(1)


def _roi_align(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """RoiAlign-22, avg: y = R x C^T per region, R and C means of bilinear samples."""
    data, rois, images = (needed(operands, position) for position in range(3))
    modes = ("half_pixel", "output_half_pixel")
    aligned = choice(attributes, "coordinate_transformation_mode", modes) == modes[0]
    scale, ratio = attributes.get("spatial_scale", 1.0), int(attributes.get("sampling_ratio", 0))
    bins = int(attributes.get("output_height", 1)), int(attributes.get("output_width", 1))
    results = []
    for roi, image in zip(rois.tolist(), images.tolist(), strict=True):
        matrices = []
        for axis, count in enumerate(bins):
            start, end = (roi[1 - axis + i] * scale - 0.5 * aligned for i in (0, 2))
            extent = end - start if aligned else max(end - start, 1.0)
            each = ratio or max(ceil(extent / count), 1)
            places = _samples(start, extent, count, each)
            matrices.append(_weights(places, data.shape[2 + axis]).to(data.device, data.dtype))
        results.append(matrices[0] @ data[int(image)] @ matrices[1].t())
    shape = (0, data.shape[1], *bins)
    return [torch.stack(results) if results else data.new_zeros(shape)]


ROI_ALIGN = LinearOperator(
    "RoiAlign",
    _roi_align,
    accepts=lambda attributes: attributes.get("mode", "avg") == "avg",
)
