"""Programs at work: the memory of one simulation, and what runs on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from onnx2snn.runtime.program.program import Library, Program
from onnx2snn.runtime.program.writer import Slots
from onnx2snn.runtime.state import State


def fill(memory: Tensor, slots: Slots, state: State, constants: Mapping[str, Tensor]) -> None:
    """Make this the memory of a simulation in this state at t = 0."""
    memory.zero_()
    for slot in slots.found.values():
        value = state.values.get(slot.name)
        value = constants.get(slot.name) if value is None else value
        if value is not None:
            slot.of(memory).copy_(value)


@dataclass
class Room:
    """Memory for one simulation at a time.

    memory:  what outlives a block, in the order of the slots.
    data:    what enters with the first block.
    buffers: what does not outlive a block.
    placed:  programs with these addresses, by their steps and whether data enter.
    views:   tensors in this memory, by name.
    """

    memory: Tensor
    data: Sequence[Tensor]
    buffers: Tensor | None = None
    placed: dict[tuple[int, bool], Tensor] = field(default_factory=dict)
    views: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Simulation:
    """One simulation, in a room of its own.

    programs: that for a block of so many steps, the first one or a later one.
    time:     steps done.
    """

    library: Library
    slots: Slots
    room: Room
    programs: Callable[[int, bool], Program]
    time: int = 0

    def advance(self, steps: int) -> None:
        """Run the next block."""
        program = self.programs(steps, not self.time)
        words = self._placed(program, (steps, not self.time))
        if self.time:
            self.counters[0] = self.time
        self.library.run(words.data_ptr(), program.count, program.threads)
        self.time += steps

    def blocks(self, steps: Sequence[int]) -> Iterator[tuple[int, Tensor, int]]:
        """The time before each of the blocks of so many steps, its program here and its length."""
        time = 0
        for length in steps:
            program = self.programs(length, not time)
            yield time, self._placed(program, (length, not time)), program.count
            time += length

    def _placed(self, program: Program, key: tuple[int, bool]) -> Tensor:
        room = self.room
        if room.buffers is None or program.room > room.buffers.numel():
            room.buffers = torch.empty(program.room, dtype=torch.uint8)
            room.placed.clear()
        words = room.placed.get(key)
        if words is None:
            addresses = [x.data_ptr() for x in (room.memory, room.buffers, *room.data)]
            words = room.placed[key] = program.at(self.library, *addresses)
        return words

    @property
    def counters(self) -> Tensor:
        """Steps done, and the spikes of every site."""
        return self.room.memory[: self.slots.counters].view(torch.int64)

    def count(self, state: State) -> None:
        """Let the state show the spikes so far."""
        spikes = self.counters[1:].clone().unbind()
        state.spikes = dict(zip(state.spikes, spikes, strict=True))

    def value(self, name: str) -> Tensor:
        """A tensor that is kept in memory."""
        views = self.room.views
        if name not in views:
            views[name] = self.slots.values[name].of(self.room.memory)
        return views[name]

    def show(self, state: State, names: Iterable[str] | None) -> None:
        """Let the state show the values of the tensors named, or of all."""
        values = self.slots.values
        for name in values if names is None else names:
            if name in values:
                state.values[name] = self.value(name)
