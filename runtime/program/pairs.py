"""Instructions for products of two matrices that both change over time."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from onnx2snn.runtime.program.signal import Signal, UnsupportedError, dense, merged
from onnx2snn.runtime.program.source import DIMENSIONS
from onnx2snn.runtime.program.writer import Held, Writer, at
from onnx2snn.runtime.vectors import LANES

# Axes that batches of matrices may have.
BATCHES = DIMENSIONS - 2


def paired(writer: Writer, a: Signal | Held, b: Signal | Held) -> Signal:
    """a b at every time step, as MatMul has it."""
    if min(a.view.dim(), b.view.dim()) < 3:
        raise UnsupportedError("a product of vectors")
    (*_, rows, depth), columns = a.view.shape, b.view.shape[-1]
    batches = np.broadcast_shapes(_batches(a.view, b.view), _batches(b.view, a.view))
    result = writer.new(dense((*batches, rows, columns)))
    first, second = (
        x.reshape(*_batches(x, y), *x.shape[-2:]).expand(*batches, *x.shape[-2:])
        for x, y in ((a.view, b.view), (b.view, a.view))
    )
    axes = merged((result.view, first, second), range(len(batches)), kept=1)
    missing = BATCHES - len(axes.sizes)
    if missing < 0:
        raise UnsupportedError("more axes of batches than kernels count")
    sizes = (*axes.sizes, *(1,) * missing)
    strides = [word for each in axes.strides for word in (*each, *(0,) * missing)]
    space = depth * -(-columns // LANES) * LANES
    shape = (rows, depth, columns, *first.stride()[-2:], *second.stride()[-2:])
    room = at(Signal(writer.room(writer.parts * space), dense((1,))))
    writer.emit("pairs", *sizes, *strides, *shape, at(a), at(b), at(result), room, space)
    return result


def _batches(x: Tensor, other: Tensor) -> tuple[int, ...]:
    """The axes before matrices, time first, and then as many of one place as the other has more."""
    time, *more = x.shape[:-2]
    return (time, *(1,) * (other.dim() - x.dim()), *more)
