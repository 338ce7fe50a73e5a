"""Programs at work: the memory of one simulation, and what runs on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
class Simulation:
    """The memory of one simulation.

    memory:   what outlives a block, in the order of `slots`.
    data:     what enters with the first block.
    programs: that for a block of so many steps, the first one or a later one.
    buffers:  what does not outlive a block.
    placed:   programs of later blocks with the addresses of this memory, by the block's length.
    time:     steps done.
    """

    library: Library
    slots: Slots
    memory: Tensor
    data: Sequence[Tensor]
    programs: Callable[[int, bool], Program]
    buffers: Tensor | None = None
    placed: dict[int, Tensor] = field(default_factory=dict)
    time: int = 0

    def advance(self, steps: int) -> None:
        """Run the next block."""
        program = self.programs(steps, not self.time)
        words = self.placed.get(steps) if self.time else None
        if words is None:
            words = self._placed(program, not self.time)
        if self.time:
            self._counters[0] = self.time
        self.library.run(words.data_ptr(), program.count, program.threads)
        self.time += steps

    def _placed(self, program: Program, first: bool) -> Tensor:
        if self.buffers is None or program.room > self.buffers.numel():
            self.buffers = torch.empty(program.room, dtype=torch.uint8)
            self.placed.clear()
        memory = (self.memory.data_ptr(), self.buffers.data_ptr())
        if first:
            return program.at(self.library, *memory, [x.data_ptr() for x in self.data])
        self.placed[program.steps] = words = program.at(self.library, *memory)
        return words

    @property
    def _counters(self) -> Tensor:
        return self.memory[: self.slots.counters].view(torch.int64)

    def count(self, state: State) -> None:
        """Let the state show the spikes so far."""
        spikes = self._counters[1:].clone().unbind()
        state.spikes = dict(zip(state.spikes, spikes, strict=True))

    def value(self, name: str) -> Tensor:
        """A tensor that is kept in memory."""
        return self.slots.values[name].of(self.memory)

    def show(self, state: State, names: Iterable[str] | None) -> None:
        """Let the state show the values of the tensors named, or of all."""
        values = self.slots.values
        for name in values if names is None else names:
            if name in values:
                state.values[name] = self.value(name)
