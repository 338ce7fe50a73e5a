"""Programs at work: the memory of one simulation, and what runs on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from onnx2snn.runtime.program.arrival import Arrival
from onnx2snn.runtime.program.program import Library, Program
from onnx2snn.runtime.program.writer import Slots
from onnx2snn.runtime.state import State


def filled(slots: Slots, state: State, constants: Mapping[str, Tensor]) -> Tensor:
    """The memory of a simulation in this state at t = 0."""
    memory = torch.zeros(slots.size, dtype=torch.uint8)
    for slot in slots.found.values():
        value = state.values.get(slot.name)
        value = constants.get(slot.name) if value is None else value
        if value is not None:
            slot.of(memory).copy_(value)
    return memory


@dataclass
class Simulation:
    """The memory of one simulation.

    memory:   what outlives a block, in the order of `slots`.
    programs: that for a block of so many steps.
    buffers:  what does not outlive a block.
    placed:   programs with the addresses of this memory, by the block's length.
    """

    library: Library
    slots: Slots
    memory: Tensor
    programs: Callable[[int], Program]
    buffers: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.uint8))
    placed: dict[int, Tensor] = field(default_factory=dict)

    def enter(self, arrival: Arrival, data: Mapping[str, Tensor]) -> None:
        """Add what the data change at t = 0."""
        for slot in arrival.gates:
            slot.of(self.memory).copy_(data[slot.name])
        self._run(arrival.program, self._placed(arrival.program))

    def advance(self, state: State, steps: int) -> None:
        """Run the next block."""
        program = self.programs(steps)
        words = self.placed.get(steps)
        if words is None or program.room > self.buffers.numel():
            words = self.placed[steps] = self._placed(program)
        self._counters[0] = state.time
        self._run(program, words)

    def _placed(self, program: Program) -> Tensor:
        if program.room > self.buffers.numel():
            self.buffers = torch.empty(program.room, dtype=torch.uint8)
            self.placed.clear()
        return program.at(self.library, self.memory.data_ptr(), self.buffers.data_ptr())

    def _run(self, program: Program, words: Tensor) -> None:
        self.library.run(words.data_ptr(), program.count, program.threads)

    @property
    def _counters(self) -> Tensor:
        return self.memory[: self.slots.counters].view(torch.int64)

    def show(self, state: State, names: Iterable[str] | None) -> None:
        """Let the state show spikes and the values of the tensors named, or of all."""
        spikes = self._counters[1:].clone().unbind()
        state.spikes = dict(zip(state.spikes, spikes, strict=True))
        wanted = None if names is None else set(names)
        for slot in self.slots.moving:
            if wanted is None or slot.name in wanted:
                state.values[slot.name] = slot.of(self.memory)
