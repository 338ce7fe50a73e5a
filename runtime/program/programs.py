"""The programs of a session: written when shapes are met for the first time, then kept."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property

from onnx2snn.runtime.execute import Executor
from onnx2snn.runtime.plan import LinearStep
from onnx2snn.runtime.program.program import Program, library
from onnx2snn.runtime.program.recipe import Recipe, suits
from onnx2snn.runtime.program.simulation import Beginning, Simulation
from onnx2snn.runtime.program.writer import Slots
from onnx2snn.runtime.state import State

# Rewriting a program costs more than it brings where constants differ from call to call.
MOST_WRITTEN = 4


@dataclass
class Prepared:
    """Programs for inputs of the same shapes, by time steps, and where they begin.

    bindings: the linear steps that they were written from.
    """

    recipe: Recipe
    beginning: Beginning
    bindings: tuple[object, ...]
    threads: int
    programs: dict[int, Program]

    def advance(self, simulation: Simulation, state: State, steps: int) -> None:
        """Carry a simulation over one block."""
        program = self.programs.get(steps)
        if program is None:
            program = self.recipe.program(state, steps, self.threads)
            assert program is not None
            self.programs[steps] = program
        simulation.run(program, state.time)


@dataclass
class Programs:
    """Programs for inputs of the shapes last met."""

    executor: Executor
    known: dict[Hashable, Prepared | None] = field(default_factory=dict)
    written: int = 0

    @cached_property
    def _suits(self) -> bool:
        return suits(self.executor) and library() is not None

    def prepared(self, key: Hashable, state: State, steps: int, threads: int) -> Prepared | None:
        """What runs simulations from this state at t = 0; None where the executor has to.

        key: tells shapes apart.
        """
        if not self._suits:
            return None
        key = (key, threads)
        bindings = _bindings(self.executor, state)
        known = self.known.get(key)
        if key in self.known and (known is None or _same(known.bindings, bindings)):
            return known
        self.written = self.written + 1 if key in self.known else 0
        made = None if self.written > MOST_WRITTEN else self._make(state, steps, threads, bindings)
        self.known = {key: made}
        return made

    def _make(
        self, state: State, steps: int, threads: int, bindings: tuple[object, ...]
    ) -> Prepared | None:
        kernels = library()
        assert kernels is not None
        recipe = Recipe(self.executor, kernels, Slots(len(self.executor.plan.sites)))
        program = recipe.program(state, steps, threads)
        if program is None:
            return None
        beginning = Beginning.of(recipe.slots, state, self.executor.constants)
        return Prepared(recipe, beginning, bindings, threads, {steps: program})

    def simulation(self, prepared: Prepared, state: State) -> Simulation:
        """The memory of a simulation that begins with this state."""
        memory = prepared.beginning.again(state, self.executor.constants)
        return Simulation(prepared.recipe.library, prepared.recipe.slots, memory)


def _bindings(executor: Executor, state: State) -> tuple[object, ...]:
    """What programs depend on: of steps that pass signals on unchanged, only that they do."""
    linear = (i for i, step in enumerate(executor.plan.steps) if isinstance(step, LinearStep))
    found = (state.bindings[i] for i in linear)
    return tuple(True if binding.transparent else binding for binding in found)


def _same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    return all(a is b for a, b in zip(one, other, strict=True))
