"""The programs of a session: written when shapes are met for the first time, then kept."""

from __future__ import annotations

import ctypes
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from onnx2snn.ops.errors import Onnx2SnnError
from onnx2snn.runtime.execute import Executor
from onnx2snn.runtime.program.arrival import (
    Arrival,
    Route,
    arrival,
    evaluated,
    reference,
    route,
)
from onnx2snn.runtime.program.origin import Origin, origin
from onnx2snn.runtime.program.program import Program, library
from onnx2snn.runtime.program.recipe import Recipe, suits
from onnx2snn.runtime.program.signal import UnsupportedError
from onnx2snn.runtime.program.simulation import Room, Simulation, fill
from onnx2snn.runtime.program.writer import Slots
from onnx2snn.runtime.state import State


@dataclass(frozen=True)
class Prepared:
    """Programs for inputs of the same shapes, and how simulations begin.

    state:    at t = 0, without what moves.
    besides:  what steps that are evaluated as they are read besides data.
    origin:   the memory for data of zeros, None where it is too large to outlive a call.
    programs: by time steps, and whether data enter.
    idle:     the room of a simulation that has ended, for the next one.
    """

    recipe: Recipe
    path: Route
    arrival: Arrival
    state: State
    besides: Mapping[str, Tensor]
    origin: Origin | None
    programs: dict[tuple[int, bool], Program]
    idle: list[Room] = field(default_factory=list)

    def program(self, steps: int, first: bool = False) -> Program:
        """The program for a block of so many steps; data enter with the first one."""
        if (steps, first) not in self.programs:
            made = self.recipe.program(self.state, steps)
            assert made is not None, "instructions do not depend on the number of steps"
            self.programs[steps, first] = made.after(self.arrival.program) if first else made
        return self.programs[steps, first]

    @cached_property
    def complete(self) -> bool:
        """Whether programs do it all: nothing is evaluated, and memory holds the outputs."""
        outputs = {info.name for info in self.recipe.executor.plan.graph.outputs}
        held = outputs <= self.recipe.slots.values.keys()
        return held and not self.path.direct and self.origin is not None

    def simulation(
        self, inputs: Mapping[str, Tensor], data: Mapping[str, Tensor]
    ) -> Simulation | None:
        """A simulation at t = 0; None where direct steps now make other shapes.

        data: inputs, and the results of direct steps.
        """
        executor, slots = self.recipe.executor, self.recipe.slots
        read = self.arrival.read(data)
        if read is None:
            return None
        try:
            room = self.idle.pop()
        except IndexError:
            room = Room(torch.empty(slots.size, dtype=torch.uint8), [*map(torch.empty_like, read)])
        if self.origin is not None:
            self.origin.fill(room.memory)
        else:
            zeros = reference(executor, self.path, inputs).state
            fill(room.memory, slots, zeros, executor.constants)
        for here, x in zip(room.data, read, strict=True):
            ctypes.memmove(here.data_ptr(), x.data_ptr(), x.nbytes)
        return Simulation(self.recipe.library, slots, room, self.program)

    def begin(self, inputs: Mapping[str, Tensor]) -> tuple[State, Simulation] | None:
        """A simulation at t = 0 and its state, without what moves."""
        executor = self.recipe.executor
        data = evaluated(executor, self.path, inputs, self.besides)
        simulation = self.simulation(inputs, data)
        if simulation is None:
            return None
        kept = {name: x for name, x in data.items() if name in executor.plan.kept}
        return replace(self.state, values={**self.state.values, **kept}), simulation


@dataclass
class Programs:
    """Programs for inputs of the shapes last met."""

    executor: Executor
    known: dict[Hashable, Prepared | None] = field(default_factory=dict)

    @cached_property
    def usable(self) -> bool:
        """Whether programs may run this plan, and can be compiled here."""
        return suits(self.executor) and library() is not None

    def begin(self, key: Hashable, inputs: Mapping[str, Tensor]) -> tuple[State, Simulation] | None:
        """A simulation at t = 0; None where the executor has to run it.

        key: tells the shapes of inputs apart.
        """
        prepared = self.known.get(key)
        return None if prepared is None else prepared.begin(inputs)

    def simulation(self, key: Hashable, inputs: Mapping[str, Tensor]) -> Simulation | None:
        """A simulation at t = 0 that needs no state; None where there is no such thing."""
        prepared = self.known.get(key)
        if prepared is None or not prepared.complete:
            return None
        return prepared.simulation(inputs, inputs)

    def end(self, key: Hashable, simulation: Simulation) -> None:
        """The memory of this simulation may serve the next one: nobody reads it any more."""
        prepared = self.known.get(key)
        if prepared is not None and prepared.recipe.slots is simulation.slots:
            prepared.idle[:] = [simulation.room]

    def prepare(
        self, key: Hashable, inputs: Mapping[str, Tensor], steps: int, threads: int
    ) -> bool:
        """Write the programs for inputs of these shapes, the first for a block of `steps`.

        Returns whether there are any.
        """
        self.known = {}
        made = self._made(inputs, steps, threads) if self.usable else None
        self.known = {key: made}
        return made is not None

    def _made(self, inputs: Mapping[str, Tensor], steps: int, threads: int) -> Prepared | None:
        kernels, executor = library(), self.executor
        assert kernels is not None
        slots = Slots(len(executor.plan.sites))
        recipe = Recipe(executor, kernels, slots, threads)
        try:
            path = route(executor.plan)
            found = reference(executor, path, inputs)
            program = recipe.program(found.state, steps)
            if program is None:
                return None
            entry = arrival(recipe, path, found)
        except (UnsupportedError, Onnx2SnnError):
            return None
        memory = torch.empty(slots.size, dtype=torch.uint8)
        fill(memory, slots, found.state, executor.constants)
        samples = max((x.shape[0] for x in inputs.values() if x.dim()), default=1)
        start = origin(memory, slots, samples)
        moving = slots.values.keys() & executor.plan.varying
        steady = {n: x for n, x in found.state.values.items() if n not in moving}
        programs = {(steps, True): program.after(entry.program)}
        state = replace(found.state, values=steady)
        return Prepared(recipe, path, entry, state, found.besides, start, programs)
