"""Instructions for products with constant matrices."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

from onnx2snn.runtime.program.geometry import BUNCH_ROWS, Kind
from onnx2snn.runtime.program.moves import copied
from onnx2snn.runtime.program.product_source import PANEL
from onnx2snn.runtime.program.signal import Axes, Signal, UnsupportedError, dense, merged
from onnx2snn.runtime.program.step import BoundStep
from onnx2snn.runtime.program.sums import Sums
from onnx2snn.runtime.program.writer import Writer
from onnx2snn.runtime.vectors import LANES

# Bytes of the largest weights; programs hold packed copies.
MOST_WEIGHTS = 1 << 29


def panels(weights: Tensor) -> Tensor:
    """Weights [groups, depth, columns] as the kernel reads them: panel by panel, zeros behind."""
    groups, depth, columns = weights.shape
    vectors = -(-columns // LANES)
    padded = weights.new_zeros(groups, depth, vectors * LANES)
    padded[:, :, :columns] = weights
    parts, start = [], 0
    while start < vectors:
        left = vectors - start
        width = 2 if left == PANEL + 1 else min(left, PANEL)
        parts.append(padded[:, :, start * LANES : (start + width) * LANES].reshape(groups, -1))
        start += width
    return torch.cat(parts, 1).contiguous()


def matmul(writer: Writer, step: BoundStep) -> Signal:
    """x w, for a matrix w."""
    return product(writer, step.signal, step.constant(1), step.index)


def gemm(writer: Writer, step: BoundStep) -> Signal:
    """x w or x w^T."""
    weights = step.constant(1)
    transposed = step.node.attributes.get("transB", 0)
    matrix = weights.t() if transposed else weights
    return product(writer, step.signal, matrix, step.index)


def product(writer: Writer, signal: Signal, weights: Tensor, key: Hashable) -> Signal:
    """The product of a signal's last axis with a matrix, whose packed copy is kept by its key."""
    check_size(weights)
    depth, columns = weights.shape
    leading, stride = range(signal.view.dim() - 1), signal.view.stride(-1)
    rows = merged((signal.view,), leading)
    if len(rows.sizes) > (1 if stride == 1 else 2):
        signal, stride = copied(writer, signal, dense(signal.view.shape)), 1
        rows = merged((signal.view,), leading)
    walk = _walk(rows, depth)
    order = sorted(leading, key=lambda i: -signal.view.stride()[i])
    packed = writer.packed(key, lambda: panels(weights.unsqueeze(0)))
    result = writer.new(dense((*signal.view.shape[:-1], columns), (*order, len(order))))
    pixels = torch.arange(walk.pixels)[:, None] * torch.tensor([walk.step, columns])
    kinds = [Kind(pixels, torch.tensor([[0, 0, depth]]))]
    bunch = max(1, BUNCH_ROWS // walk.pixels)
    images = (walk.images, walk.stride, walk.pixels * columns, bunch)
    Sums(*images, depth, 1, depth, stride, 1, columns).emit(writer, kinds, signal, packed, result)
    return result


@dataclass(frozen=True)
class Walk:
    """Rows of a product: so many images `stride` apart, of so many pixels `step` apart."""

    images: int
    stride: int
    pixels: int = 1
    step: int = 0


def _walk(rows: Axes, depth: int) -> Walk:
    strides = rows.strides[0] if rows.sizes else ()
    if len(rows.sizes) == 2:
        return Walk(rows.sizes[0], strides[0], rows.sizes[1], strides[1])
    return Walk(rows.sizes[0], strides[0]) if rows.sizes else Walk(1, depth)


def check_size(weights: Tensor) -> None:
    """Refuse weights that the kernels are not made for."""
    if weights.dtype != torch.float32 or 4 * weights.numel() > MOST_WEIGHTS:
        raise UnsupportedError("weights that are too large")
