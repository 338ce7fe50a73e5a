"""Programs at work: the memory of one simulation, and what runs on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from onnx2snn.runtime.program.program import Library, Program
from onnx2snn.runtime.program.writer import Slot, Slots
from onnx2snn.runtime.state import State


@dataclass(frozen=True)
class Beginning:
    """The memory of a simulation at t = 0, and the tensors that it was filled from, by slot."""

    memory: Tensor
    sources: tuple[tuple[Slot, str, Tensor], ...]

    @staticmethod
    def of(slots: Slots, state: State, constants: Mapping[str, Tensor]) -> Beginning:
        """The beginning that a state at t = 0 makes."""
        memory = torch.zeros(slots.size, dtype=torch.uint8)
        sources = tuple((s, s.name, _value(s.name, state, constants)) for s in slots.found.values())
        for slot, _, value in sources:
            slot.of(memory).copy_(value)
        return Beginning(memory, sources)

    def again(self, state: State, constants: Mapping[str, Tensor]) -> Tensor:
        """The memory of another simulation: what is the same tensor is not looked at again."""
        memory = self.memory.clone()
        for slot, name, known in self.sources:
            value = _value(name, state, constants)
            if value is not known:
                slot.of(memory).copy_(value)
        return memory


def _value(name: str, state: State, constants: Mapping[str, Tensor]) -> Tensor:
    value = state.values.get(name)
    return constants[name] if value is None else value


@dataclass
class Simulation:
    """The memory of one simulation.

    memory:   what outlives a block, in the order of `slots`.
    programs: that for a block of so many steps.
    buffers:  what does not outlive a block.
    placed:   programs with the addresses of this memory.
    """

    library: Library
    slots: Slots
    memory: Tensor
    programs: Callable[[State, int], Program]
    buffers: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.uint8))
    placed: dict[int, NDArray[np.int64]] = field(default_factory=dict)

    def advance(self, state: State, steps: int) -> None:
        """Run the next block."""
        program = self.programs(state, steps)
        if program.room > self.buffers.numel():
            self.buffers, self.placed = torch.empty(program.room, dtype=torch.uint8), {}
        words = self.placed.get(program.steps)
        if words is None:
            words = program.at(self.memory.data_ptr(), self.buffers.data_ptr())
            self.placed[program.steps] = words
        self._counters[0] = state.time
        self.library.run(words.ctypes.data, program.count, program.threads)

    @property
    def _counters(self) -> Tensor:
        return self.memory[: 8 * (1 + self.slots.sites)].view(torch.int64)

    def show(self, state: State, names: Iterable[str] | None) -> None:
        """Let the state show spikes and the values of the tensors named, or of all."""
        spikes = self._counters[1:].clone().unbind()
        state.spikes = dict(zip(state.spikes, spikes, strict=True))
        wanted = None if names is None else set(names)
        for (use, _), slot in self.slots.found.items():
            if not use.startswith("static") and (wanted is None or slot.name in wanted):
                state.values[slot.name] = slot.of(self.memory)
