"""A program laid out in memory, and how it runs."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from onnx2snn.runtime.fused.build import build
from onnx2snn.runtime.program.placing import placed
from onnx2snn.runtime.program.source import program_source
from onnx2snn.runtime.program.writer import Gate, Place, Wanted, Word, Writer, unread_by

KERNELS = (
    *("pointwise", "reduction", "product", "pairs", "quads", "lookup", "depthwise"),
    *("gather", "restoration", "integration", "trajectory", "differences"),
)
# What an address in a program counts from.
_ABSOLUTE, _PROGRAM, _SLOTS, _BUFFERS, _GATES = range(5)


@dataclass(frozen=True)
class Library:
    """Compiled kernels.

    run:     runs instructions at an address, so many, on so many threads.
    place:   so many words at an address, their kinds, starts of all kinds, where words go.
    kernels: addresses of the kernels of linear operators, by name.
    """

    run: Callable[[int, int, int], None]
    place: Callable[[int, int, int, object, int], None]
    kernels: dict[str, int]


@cache
def library() -> Library | None:
    """The kernels of programs; None where there is no compiler."""
    found = build(program_source())
    if found is None:
        return None
    run, place = found.run, found.place
    run.argtypes, run.restype = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64], None
    place.argtypes, place.restype = [ctypes.c_int64, *[ctypes.c_void_p] * 4], None
    addresses = {n: ctypes.cast(getattr(found, n), ctypes.c_void_p).value for n in KERNELS}
    return Library(run, place, {name: a for name, a in addresses.items() if a is not None})


@dataclass(frozen=True)
class Program:
    """Instructions for one block of `steps` time steps; any simulation of its shapes runs them.

    words:     instructions and, behind them, their arguments; addresses within the program, the
               slots, the buffers and each of the gates count from its start.
    kinds:     of each word, what it counts from.
    count:     number of instructions.
    room:      bytes of all buffers.
    constants: tensors that must live as long as the program.
    """

    steps: int
    threads: int
    words: Tensor
    kinds: Tensor
    count: int
    room: int
    constants: tuple[Tensor, ...]

    def at(self, library: Library, slots: int, buffers: int, *gates: int) -> Tensor:
        """A copy that runs on this memory."""
        words = torch.empty_like(self.words)
        starts = (ctypes.c_int64 * (_GATES + len(gates)))(
            0, words.data_ptr(), slots, buffers, *gates
        )
        addresses = (self.words.data_ptr(), self.kinds.data_ptr(), starts, words.data_ptr())
        library.place(words.numel(), *addresses)
        return words

    def after(self, other: Program) -> Program:
        """Both programs, the other one first, which may be of another length."""
        tables, arguments, kinds = [], [], []
        shifts = (24 * self.count, 8 * other.words.numel())
        for program, shift in zip((other, self), shifts, strict=True):
            words = program.words + shift * (program.kinds == _PROGRAM)
            head = 3 * program.count
            tables.append(words[:head])
            arguments.append(words[head:])
            kinds.append((program.kinds[:head], program.kinds[head:]))
        return replace(
            self,
            words=torch.cat([*tables, *arguments]),
            kinds=torch.cat([part for pair in zip(*kinds, strict=True) for part in pair]),
            count=other.count + self.count,
            room=max(other.room, self.room),
            constants=other.constants + self.constants,
        )


def laid_out(writer: Writer) -> Program:
    """What was written, as one array."""
    unread = unread_by(writer.instructions)
    instructions = [i for i in writer.instructions if i.needed(unread)]
    places, room = placed([buffer for buffer in writer.buffers if buffer not in unread])
    table: list[tuple[int, int]] = []
    blocks: list[tuple[int, int]] = []
    start = 3 * len(instructions)

    def coded(word: Word) -> tuple[int, int]:
        if isinstance(word, Gate):
            return _GATES + word.number, 0
        if isinstance(word, Wanted):
            word = 0 if word.buffer in unread else Place(word.buffer, 0)
        if not isinstance(word, Place):
            return _ABSOLUTE, word
        if word.buffer is None:
            return _SLOTS, word.offset
        return _BUFFERS, places[word.buffer] + 4 * word.offset

    for instruction in instructions:
        spikes = (_ABSOLUTE, 0) if instruction.spikes is None else coded(instruction.spikes)
        table += [(_ABSOLUTE, instruction.kernel), (_PROGRAM, 8 * (start + len(blocks))), spikes]
        blocks += map(coded, instruction.words)
    kinds, words = torch.tensor([*table, *blocks], dtype=torch.int64).reshape(-1, 2).unbind(1)
    return Program(
        steps=writer.steps,
        threads=writer.threads,
        words=words.contiguous(),
        kinds=kinds.to(torch.uint8),
        count=len(instructions),
        room=room,
        constants=tuple(writer.constants),
    )
