"""The memory that all simulations of some shapes have at t = 0, for data of zeros."""

from __future__ import annotations

from torch import Tensor

from onnx2snn.runtime.program.program import Program, laid_out
from onnx2snn.runtime.program.recipe import Recipe
from onnx2snn.runtime.program.writer import Place, Word

# Most bytes that are kept from one call to the next.
KEPT = 128 << 20


def origin(recipe: Recipe, memory: Tensor, samples: int) -> Program | None:
    """A program that makes memory hold this; None where that were more than is kept.

    Of slots whose samples are alike one sample is kept. Threads restore what is theirs later.
    """
    slots = recipe.slots
    spans = [(0, slots.counters), *((slot.offset, 4 * slot.size) for slot in slots.found.values())]
    kept: list[tuple[int, Tensor, int]] = []
    for offset, size in spans:
        part = memory[offset : offset + size]
        times = samples if _alike(part, samples) else 1
        kept.append((offset, part[: size // times], times))
    if sum(once.numel() for _, once, _ in kept) > KEPT:
        return None
    writer = recipe.writer(1)
    words: list[Word] = []
    for offset, once, times in kept:
        words += [Place(None, offset), writer.constant(once.clone()), once.numel(), times]
    writer.emit("restoration", len(kept), *words)
    return laid_out(writer)


def _alike(memory: Tensor, samples: int) -> bool:
    """Whether memory holds the same for each of so many samples."""
    if memory.numel() % samples:
        return False
    found = memory.view(samples, -1)
    return bool((found == found[0]).all())
