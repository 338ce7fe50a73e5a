"""The programs of a session: written when shapes are met for the first time, then kept."""

from __future__ import annotations

import ctypes
from collections.abc import Hashable, Mapping, Sequence
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
from onnx2snn.runtime.program.origin import origin
from onnx2snn.runtime.program.program import Program, library
from onnx2snn.runtime.program.recipe import Recipe, suits
from onnx2snn.runtime.program.signal import UnsupportedError
from onnx2snn.runtime.program.simulation import Room, Simulation, fill
from onnx2snn.runtime.program.writer import Slots
from onnx2snn.runtime.start import Opening, begin
from onnx2snn.runtime.state import State


@dataclass(frozen=True)
class Entry:
    """How data enter by a program.

    besides: what steps that are evaluated as they are read besides data.
    origin:  restores the memory for data of zeros; None where that is too large to be kept.
    """

    path: Route
    arrival: Arrival
    besides: Mapping[str, Tensor]
    origin: Program | None

    @cached_property
    def program(self) -> Program:
        """What runs before the first time step."""
        arrival = self.arrival.program
        return arrival if self.origin is None else arrival.after(self.origin)


@dataclass(frozen=True)
class Prepared:
    """Programs for inputs of the same shapes, and how simulations begin.

    state:    at t = 0, without what moves.
    start:    how data enter, or what initial passes share, which are evaluated then.
    programs: by time steps, and whether data enter.
    idle:     the room of a simulation that has ended, for the next one.
    """

    recipe: Recipe
    state: State
    start: Entry | Opening
    programs: dict[tuple[int, bool], Program] = field(default_factory=dict)
    idle: list[Room] = field(default_factory=list)

    def program(self, steps: int, first: bool = False) -> Program:
        """The program for a block of so many steps; data may enter with the first one."""
        entry = self.start if first and isinstance(self.start, Entry) else None
        key = (steps, entry is not None)
        if key not in self.programs:
            made = self.recipe.program(self.state, steps)
            assert made is not None, "instructions do not depend on the number of steps"
            self.programs[key] = made if entry is None else made.after(entry.program)
        return self.programs[key]

    @cached_property
    def complete(self) -> bool:
        """Whether programs do it all: nothing is evaluated, and memory holds the outputs."""
        outputs = {info.name for info in self.recipe.executor.plan.graph.outputs}
        held = outputs <= self.recipe.slots.values.keys()
        start = self.start
        return (
            isinstance(start, Entry) and held and not start.path.direct and start.origin is not None
        )

    def simulation(self, inputs: Mapping[str, Tensor]) -> Simulation | None:
        """A simulation at t = 0 by programs that are complete."""
        assert isinstance(self.start, Entry)
        return self._entered(self.start, inputs, inputs)

    def begin(self, inputs: Mapping[str, Tensor]) -> tuple[State, Simulation] | None:
        """A simulation at t = 0 and its state, without what moves; None for other shapes inside."""
        executor, start = self.recipe.executor, self.start
        if isinstance(start, Opening):
            state, opening = begin(executor, inputs, start)
            if opening is not start:
                return None
            return steady(self.recipe, state), self._holding(state)
        data = evaluated(executor, start.path, inputs, start.besides)
        simulation = self._entered(start, inputs, data)
        if simulation is None:
            return None
        kept = {name: x for name, x in data.items() if name in executor.plan.kept}
        return replace(self.state, values={**self.state.values, **kept}), simulation

    def _entered(
        self, start: Entry, inputs: Mapping[str, Tensor], data: Mapping[str, Tensor]
    ) -> Simulation | None:
        """A simulation that data enter; None where direct steps now make other shapes.

        data: inputs, and the results of direct steps.
        """
        read = start.arrival.read(data)
        if read is None:
            return None
        room = self._room(read)
        if start.origin is None:
            executor = self.recipe.executor
            zeros = reference(executor, start.path, inputs).state
            fill(room.memory, self.recipe.slots, zeros, executor.constants)
        for here, x in zip(room.data, read, strict=True):
            ctypes.memmove(here.data_ptr(), x.data_ptr(), x.nbytes)
        return Simulation(self.recipe.library, self.recipe.slots, room, self.program)

    def _holding(self, state: State) -> Simulation:
        """A simulation in this state at t = 0."""
        room, slots = self._room(()), self.recipe.slots
        fill(room.memory, slots, state, self.recipe.executor.constants)
        return Simulation(self.recipe.library, slots, room, self.program)

    def _room(self, read: Sequence[Tensor]) -> Room:
        try:
            return self.idle.pop()
        except IndexError:
            memory = torch.zeros(self.recipe.slots.size, dtype=torch.uint8)
            return Room(memory, [*map(torch.empty_like, read)])


def steady(recipe: Recipe, state: State) -> State:
    """A state without what moves."""
    moving = recipe.slots.values.keys() & recipe.executor.plan.varying
    return replace(state, values={n: x for n, x in state.values.items() if n not in moving})


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
        return prepared.simulation(inputs)

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
        recipe = self._recipe(threads)
        try:
            return self._entered(recipe, inputs, steps)
        except (UnsupportedError, Onnx2SnnError):
            recipe = self._recipe(threads)
        state, opening = begin(self.executor, inputs, None)
        program = recipe.program(state, steps)
        if program is None:
            return None
        return Prepared(recipe, steady(recipe, state), opening, {(steps, False): program})

    def _recipe(self, threads: int) -> Recipe:
        kernels = library()
        assert kernels is not None
        return Recipe(self.executor, kernels, Slots(len(self.executor.plan.sites)), threads)

    def _entered(self, recipe: Recipe, inputs: Mapping[str, Tensor], steps: int) -> Prepared:
        """Programs that data enter; UnsupportedError where not all of them can."""
        path = route(self.executor.plan)
        found = reference(self.executor, path, inputs)
        program = recipe.program(found.state, steps)
        if program is None:
            raise UnsupportedError("a step without instructions")
        entry = arrival(recipe, path, found)
        memory = torch.empty(recipe.slots.size, dtype=torch.uint8)
        fill(memory, recipe.slots, found.state, self.executor.constants)
        samples = max((x.shape[0] for x in inputs.values() if x.dim()), default=1)
        start = Entry(path, entry, found.besides, origin(recipe, memory, samples))
        programs = {(steps, True): program.after(start.program)}
        return Prepared(recipe, steady(recipe, found.state), start, programs)
