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
    writer, slots = recipe.writer(1), recipe.slots
    spans = [(0, slots.counters), *((slot.offset, 4 * slot.size) for slot in slots.found.values())]
    words: list[Word] = []
    for offset, size in spans:
        part = memory[offset : offset + size]
        times = samples if _alike(part, samples) else 1
        once = part[: size // times].clone()
        words += [Place(None, offset), writer.constant(once), once.numel(), times]
    if sum(once.numel() for once in writer.constants) > KEPT:
        return None
    writer.emit("restoration", len(spans), *words)
    return laid_out(writer)


def _alike(memory: Tensor, samples: int) -> bool:
    """Whether memory holds the same for each of so many samples."""
    if memory.numel() % samples:
        return False
    found = memory.view(samples, -1)
    return bool((found == found[0]).all())
