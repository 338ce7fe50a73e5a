"""Products of two matrices that both change over time, in compiled programs."""

from __future__ import annotations

import pytest
import torch

from onnx2snn.runtime.fused.build import compiler
from onnx2snn.runtime.program.pairs import paired
from onnx2snn.runtime.program.placing import placed
from onnx2snn.runtime.program.program import laid_out, library
from onnx2snn.runtime.program.signal import UnsupportedError, dense
from onnx2snn.runtime.program.writer import Slots, Writer

pytestmark = pytest.mark.skipif(compiler() is None, reason="needs a C compiler")
STEPS = 3
Shape = tuple[int, ...]
# Sizes that end within vectors, panels and tiles; batches of which either has more axes, or one.
SHAPES: list[tuple[Shape, Shape]] = [
    ((5, 7), (7, 4)),
    ((2, 5, 7), (2, 7, 70)),
    ((2, 3, 9, 20), (2, 3, 20, 33)),
    ((3, 1, 20), (20, 64)),
    ((6, 4), (2, 3, 4, 130)),
    ((2, 1, 130, 4), (1, 3, 4, 1)),
]


def run(
    shapes: tuple[Shape, Shape], orders: tuple[bool, bool], threads: int
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The product by a program and by PyTorch; the last two axes of operands change places."""
    kernels, draw = library(), torch.Generator().manual_seed(1)
    assert kernels is not None
    writer = Writer(STEPS, threads, kernels.kernels, Slots(0), {})
    values = [torch.randn(STEPS, *shape, generator=draw) for shape in shapes]
    signals = []
    for x, swapped in zip(values, orders, strict=True):
        *ahead, row, column = range(x.dim())
        order = [*ahead, column, row] if swapped else [*ahead, row, column]
        signals.append(writer.new(dense(x.shape, order)))
    result = paired(writer, *signals)
    result.buffer.last = len(writer.instructions)
    program, (places, _) = laid_out(writer), placed(writer.buffers)
    buffers = torch.zeros(program.room, dtype=torch.uint8)
    memory = buffers.view(torch.float32)
    for signal, x in zip(signals, values, strict=True):
        view = signal.view
        memory.as_strided(view.shape, view.stride(), places[signal.buffer] // 4).copy_(x)
    words = program.at(kernels, 0, buffers.data_ptr())
    kernels.run(words.data_ptr(), program.count, threads)
    start = places[result.buffer] // 4
    return memory.as_strided(result.view.shape, result.view.stride(), start), values


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("orders", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("threads", [1, 2])
def test_matrices_are_multiplied_at_every_step(
    shapes: tuple[Shape, Shape], orders: tuple[bool, bool], threads: int
) -> None:
    found, (a, b) = run(shapes, orders, threads)
    for t in range(STEPS):
        torch.testing.assert_close(found[t], a[t] @ b[t], rtol=1e-5, atol=1e-5)


def test_vectors_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="vectors"):
        run(((4,), (4, 3)), (False, False), 1)
