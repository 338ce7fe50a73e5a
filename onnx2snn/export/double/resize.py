"""Resize in float64: one constant matrix, or one lookup, per resized axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from onnx2snn.export.double.sliding import known_rank
from onnx2snn.export.writer import Writer
from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.linear.resize import axis_table, is_lookup, resized_axes


def write_resize(writer: Writer, inputs: Sequence[str], attributes: Mapping[str, Any]) -> str:
    """Resize: y = (M1 x M2 x ...) x; the sizes of all resized axes must be known."""
    x = inputs[0]
    operands = [None, *(_constant(writer, name) for name in inputs[1:])]
    rank, shape = known_rank(writer, x), writer.shapes[x]
    sizes = [size if isinstance(size, int) else 1 for size in shape]
    data = torch.empty(sizes, dtype=torch.float64, device="meta")
    for position, axis in resized_axes(data, operands, attributes):
        if axis.is_identity:
            continue
        if not isinstance(shape[position], int):
            raise ModelError(f"axis {position} has no fixed size; export with --precision float32")
        table = axis_table(axis, torch.device("cpu"), torch.float64)
        if is_lookup(axis):
            x = writer.call("Gather", x, writer.constant(table.numpy()), axis=position)
        else:
            x = _times(writer, x, table.t().contiguous().numpy(), position, rank)
    return x if x != inputs[0] else writer.call("Identity", x)


def _constant(writer: Writer, name: str) -> torch.Tensor | None:
    if not name:
        return None
    array = writer.array(name)
    if array is None:
        raise ModelError("sizes that are computed cannot be exported; use --precision float32")
    return torch.from_numpy(array.copy())


def _times(writer: Writer, x: str, matrix: Any, position: int, rank: int) -> str:
    """x times `matrix` along one axis."""
    order = [i for i in range(rank) if i != position] + [position]
    last = writer.call("Transpose", x, perm=order)
    product = writer.call("MatMul", last, writer.constant(matrix, "weights"))
    return writer.call("Transpose", product, perm=[order.index(i) for i in range(rank)])
