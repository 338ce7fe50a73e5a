"""Memory is what it was, however many threads restore it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from onnx2snn.runtime.fused.build import compiler
from onnx2snn.runtime.program.origin import origin
from onnx2snn.runtime.program.program import library
from onnx2snn.runtime.program.writer import Slots, Writer

pytestmark = pytest.mark.skipif(compiler() is None, reason="needs a C compiler")


@settings(deadline=None)  # the first example may compile
@given(
    st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=6),
    st.integers(1, 5),
    st.integers(1, 4),
)
def test_restored(sizes: list[tuple[int, bool]], samples: int, threads: int) -> None:
    kernels = library()
    assert kernels is not None
    slots = Slots(2)
    for i, (size, _) in enumerate(sizes):
        slots.slot("value", str(i), (samples, size), (0, 1))
    memory = torch.zeros(slots.size, dtype=torch.uint8)
    for slot, (_, alike) in zip(slots.found.values(), sizes, strict=True):
        values = torch.randn(slot.shape)
        slot.of(memory).copy_(values[:1] if alike else values)
    writer = Writer(1, threads, kernels.kernels, slots, {})
    program = origin(SimpleNamespace(slots=slots, writer=lambda _: writer), memory, samples)
    found = torch.full_like(memory, 7)
    words = program.at(kernels, found.data_ptr(), 0)
    kernels.run(words.data_ptr(), program.count, threads)
    for slot in slots.found.values():
        torch.testing.assert_close(slot.of(found), slot.of(memory), rtol=0, atol=0)
    assert not found[: slots.counters].any()
    kept = sum(once.numel() for once in program.constants)
    whole = [4 * size * (1 if alike else samples) for size, alike in sizes]
    assert kept <= slots.counters + sum(whole)
