"""The memory that all simulations of some shapes have at t = 0, for data of zeros."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from onnx2snn.runtime.program.writer import Slots

# Most bytes that are kept from one call to the next.
KEPT = 128 << 20


@dataclass(frozen=True)
class Piece:
    """Bytes that memory holds `times` over, one behind the other, from `offset` on."""

    offset: int
    times: int
    memory: Tensor

    @cached_property
    def source(self) -> tuple[int, int]:
        """Where the bytes are, and how many."""
        return self.memory.data_ptr(), self.memory.numel()


@dataclass(frozen=True)
class Origin:
    """What memory holds; where samples are alike, for one of them."""

    pieces: tuple[Piece, ...]

    def fill(self, memory: Tensor) -> None:
        """Copy it, on this thread alone: PyTorch's others would spin on the helpers' cores."""
        start = memory.data_ptr()
        for piece in self.pieces:
            source, size = piece.source
            for i in range(piece.times):
                ctypes.memmove(start + piece.offset + i * size, source, size)


def origin(memory: Tensor, slots: Slots, samples: int) -> Origin | None:
    """The origin that makes this memory; None where that were more than is kept."""
    if memory.numel() <= KEPT:
        return Origin((Piece(0, 1, memory),))
    spans = [(0, slots.counters), *((slot.offset, 4 * slot.size) for slot in slots.found.values())]
    pieces, room = [], 0
    for offset, size in spans:
        part = memory[offset : offset + size]
        times = samples if _alike(part, samples) else 1
        pieces.append(Piece(offset, times, part[: size // times]))
        room += size // times
    if room > KEPT:
        return None
    return Origin(tuple(Piece(p.offset, p.times, p.memory.clone()) for p in pieces))


def _alike(memory: Tensor, samples: int) -> bool:
    """Whether memory holds the same for each of so many samples."""
    if memory.numel() % samples:
        return False
    first, *others = memory.view(samples, -1).unbind()
    return all(torch.equal(first, other) for other in others)
