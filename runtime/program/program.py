"""A program laid out in memory, and how it runs."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from onnx2snn.runtime.fused.build import build
from onnx2snn.runtime.program.source import program_source
from onnx2snn.runtime.program.writer import Place, Word, Writer, placed

KERNELS = ("pointwise", "reduction", "integration", "product", "depthwise")
# What an address in a program counts from.
_ABSOLUTE, _PROGRAM, _SLOTS, _BUFFERS = range(4)


@dataclass(frozen=True)
class Library:
    """Compiled kernels.

    run:     runs instructions at an address, so many, on so many threads.
    kernels: addresses of the kernels of linear operators, by name.
    """

    run: Callable[[int, int, int], None]
    kernels: dict[str, int]


@cache
def library() -> Library | None:
    """The kernels of programs; None where there is no compiler."""
    found = build(program_source())
    if found is None:
        return None
    run = found.run
    run.argtypes, run.restype = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64], None
    addresses = {n: ctypes.cast(getattr(found, n), ctypes.c_void_p).value for n in KERNELS}
    return Library(run, {name: a for name, a in addresses.items() if a is not None})


@dataclass(frozen=True)
class Program:
    """Instructions for one block of `steps` time steps; any simulation of its shapes runs them.

    words:     instructions and, behind them, their arguments; addresses within the program, the
               slots and the buffers count from the start of each.
    addresses: where these are, for each of the three.
    count:     number of instructions.
    room:      bytes of all buffers.
    constants: tensors that must live as long as the program.
    """

    steps: int
    threads: int
    words: NDArray[np.int64]
    addresses: tuple[NDArray[np.int64], ...]
    count: int
    room: int
    constants: tuple[Tensor, ...]

    def at(self, slots: int, buffers: int) -> NDArray[np.int64]:
        """A copy that runs on this memory."""
        words = self.words.copy()
        for places, start in zip(self.addresses, (words.ctypes.data, slots, buffers), strict=True):
            words[places] += start
        return words


def laid_out(writer: Writer) -> Program:
    """What was written, as one array."""
    places, room = placed(writer.buffers)
    table: list[tuple[int, int]] = []
    blocks: list[tuple[int, int]] = []
    start = 3 * len(writer.instructions)

    def coded(word: Word) -> tuple[int, int]:
        if not isinstance(word, Place):
            return _ABSOLUTE, word
        if word.buffer is None:
            return _SLOTS, word.offset
        return _BUFFERS, places[word.buffer] + 4 * word.offset

    for instruction in writer.instructions:
        spikes = (_ABSOLUTE, 0) if instruction.spikes is None else coded(instruction.spikes)
        table += [(_ABSOLUTE, instruction.kernel), (_PROGRAM, 8 * (start + len(blocks))), spikes]
        blocks += map(coded, instruction.words)
    kinds, words = _columns([*table, *blocks])
    return Program(
        steps=writer.steps,
        threads=writer.threads,
        words=words,
        addresses=tuple(np.flatnonzero(kinds == k) for k in (_PROGRAM, _SLOTS, _BUFFERS)),
        count=len(writer.instructions),
        room=room,
        constants=tuple(writer.constants),
    )


def _columns(rows: Sequence[tuple[int, int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    array = np.array(rows, np.int64).reshape(-1, 2)
    return array[:, 0], np.ascontiguousarray(array[:, 1])
