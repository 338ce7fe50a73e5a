"""A call like the one before: what is the same is looked up once, and little is left to Python.

On one sample a whole simulation takes some hundred microseconds, and a tenth of that would go into
finding out what to run.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from onnx2snn.runtime.program.programs import Entry, Prepared
from onnx2snn.runtime.program.simulation import Room, Simulation

Array = NDArray[Any]


@dataclass(frozen=True)
class Gate:
    """Where an input of a known shape goes, so many bytes."""

    name: str
    shape: tuple[int, ...]
    address: int
    size: int


@dataclass(frozen=True)
class Block:
    """Instructions for the next time steps: the time before them, and their number."""

    time: int
    words: Tensor
    count: int


@dataclass(frozen=True)
class Repeat:
    """Runs a complete program on float32 inputs of known shapes, in a room that it must find idle.

    buffers: that the blocks' addresses lie in; the room has others once longer blocks have run.
    finite:  whether NaN and infinity are left to others to refuse.
    outputs: views of the room, and the types that are returned.
    """

    prepared: Prepared
    room: Room
    buffers: Tensor | None
    threads: int
    finite: bool
    gates: Sequence[Gate]
    blocks: Sequence[Block]
    time: Array
    outputs: Sequence[tuple[Array, np.dtype[Any]]]

    def __call__(self, feed: Mapping[str, Array]) -> list[Array] | None:
        """The outputs; None where the feed is another one, or somebody else is at work."""
        if len(feed) != len(self.gates) or torch.get_num_threads() != self.threads:
            return None
        arrays = []
        for gate in self.gates:
            array = feed.get(gate.name)
            if not isinstance(array, np.ndarray) or array.shape != gate.shape:
                return None
            if array.dtype != np.float32 or not array.flags.c_contiguous:
                return None
            if self.finite and not np.isfinite(array).all():
                return None
            arrays.append(array)
        if not self._entered():
            return None
        for gate, array in zip(self.gates, arrays, strict=True):
            ctypes.memmove(gate.address, array.ctypes.data, gate.size)
        run, threads = self.prepared.recipe.library.run, self.prepared.recipe.threads
        for block in self.blocks:
            self.time[0] = block.time
            run(block.words.data_ptr(), block.count, threads)
        found = [view.astype(dtype) for view, dtype in self.outputs]
        self.prepared.idle[:] = [self.room]
        return found

    def _entered(self) -> bool:
        """Whether the room was idle as it was left, and now is not."""
        try:
            room = self.prepared.idle.pop()
        except IndexError:
            return False
        known = room is self.room and room.buffers is self.buffers
        if not known:
            self.prepared.idle.append(room)
        return known


def repeated(
    prepared: Prepared,
    inputs: Mapping[str, Tensor],
    steps: Sequence[int],
    outputs: Sequence[tuple[str, np.dtype[Any]]],
    *,
    finite: bool,
) -> Repeat | None:
    """The repetition of a simulation that has just ended; None where more than programs is needed.

    steps:   lengths of its blocks.
    outputs: names and types.
    """
    start, recipe = prepared.start, prepared.recipe
    if not prepared.complete or not prepared.idle or not isinstance(start, Entry):
        return None
    room, names = prepared.idle[0], list(start.arrival.gates)
    plain = all(x.dtype == torch.float32 for x in inputs.values())
    if not plain or set(names) != set(inputs):
        return None
    simulation = Simulation(recipe.library, recipe.slots, room, prepared.program)
    gates = [
        Gate(name, tuple(inputs[name].shape), here.data_ptr(), here.nbytes)
        for name, here in zip(names, room.data, strict=True)
    ]
    buffers, blocks = room.buffers, [Block(*block) for block in simulation.blocks(steps)]
    if room.buffers is not buffers:
        return None
    return Repeat(
        prepared,
        room,
        buffers,
        torch.get_num_threads(),
        finite,
        gates,
        blocks,
        simulation.counters.numpy(),
        [(simulation.value(name).numpy(), dtype) for name, dtype in outputs],
    )
