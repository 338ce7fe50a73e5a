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
from onnx2snn.runtime.start import KEPT
from onnx2snn.runtime.state import State


@dataclass(frozen=True)
class Beginning:
    """The memory of simulations at t = 0.

    memory:  of the first one, None where it is too large to outlive a call.
    sources: the tensors that it was filled from, by slot.
    """

    slots: Slots
    memory: Tensor | None
    sources: tuple[tuple[Slot, Tensor], ...]

    @staticmethod
    def of(slots: Slots, state: State, constants: Mapping[str, Tensor]) -> Beginning:
        """The beginning that a state at t = 0 makes."""
        if slots.size > KEPT:
            return Beginning(slots, None, ())
        sources = tuple((s, _value(s.name, state, constants)) for s in slots.found.values())
        return Beginning(slots, _filled(slots, state, constants), sources)

    def again(self, state: State, constants: Mapping[str, Tensor]) -> Tensor:
        """The memory of a simulation: what is the same tensor as then is not looked at again."""
        if self.memory is None:
            return _filled(self.slots, state, constants)
        memory = self.memory.clone()
        for slot, known in self.sources:
            value = _value(slot.name, state, constants)
            if value is not known:
                slot.of(memory).copy_(value)
        return memory


def _filled(slots: Slots, state: State, constants: Mapping[str, Tensor]) -> Tensor:
    memory = torch.empty(slots.size, dtype=torch.uint8)
    memory[: slots.counters].zero_()
    for slot in slots.found.values():
        slot.of(memory).copy_(_value(slot.name, state, constants))
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
        return self.memory[: self.slots.counters].view(torch.int64)

    def show(self, state: State, names: Iterable[str] | None) -> None:
        """Let the state show spikes and the values of the tensors named, or of all."""
        spikes = self._counters[1:].clone().unbind()
        state.spikes = dict(zip(state.spikes, spikes, strict=True))
        wanted = None if names is None else set(names)
        for slot in self.slots.moving:
            if wanted is None or slot.name in wanted:
                state.values[slot.name] = slot.of(self.memory)

    def take(self, state: State) -> None:
        """Free what the state holds of the tensors that this memory now does."""
        for slot in self.slots.moving:
            state.values.pop(slot.name, None)
