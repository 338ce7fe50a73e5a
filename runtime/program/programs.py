"""The programs of a session: written when shapes are met for the first time, then kept."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property

from onnx2snn.runtime.binding import Binding
from onnx2snn.runtime.execute import Executor
from onnx2snn.runtime.program.program import Program, library
from onnx2snn.runtime.program.recipe import Recipe, suits
from onnx2snn.runtime.program.simulation import Beginning, Simulation
from onnx2snn.runtime.program.writer import Slots
from onnx2snn.runtime.state import State


@dataclass(frozen=True)
class Prepared:
    """Programs for inputs of the same shapes, and how simulations begin.

    bindings: of the linear steps, from which the programs were written.
    programs: by time steps.
    """

    recipe: Recipe
    beginning: Beginning
    bindings: dict[int, Binding]
    programs: dict[int, Program]

    def fits(self, state: State) -> bool:
        """Whether constants and shapes are still the same."""
        return all(state.bindings[index] is known for index, known in self.bindings.items())

    def program(self, state: State, steps: int) -> Program:
        """The program for a block of so many steps."""
        if steps not in self.programs:
            made = self.recipe.program(state, steps)
            assert made is not None, "instructions do not depend on the number of steps"
            self.programs[steps] = made
        return self.programs[steps]


@dataclass
class Programs:
    """Programs for inputs of the shapes last met."""

    executor: Executor
    known: dict[Hashable, Prepared | None] = field(default_factory=dict)

    @cached_property
    def usable(self) -> bool:
        """Whether programs may run this plan, and can be compiled here."""
        return suits(self.executor) and library() is not None

    def simulation(
        self, key: Hashable, state: State, steps: int, threads: int
    ) -> Simulation | None:
        """What carries on from a state at t = 0; None where the executor has to.

        key:   tells shapes apart.
        steps: time steps of the first block.
        """
        prepared = self._prepared((key, threads), state, steps, threads) if self.usable else None
        if prepared is None:
            return None
        recipe = prepared.recipe
        memory = prepared.beginning.again(state, self.executor.constants)
        simulation = Simulation(recipe.library, recipe.slots, memory, prepared.program)
        simulation.take(state)
        return simulation

    def _prepared(self, key: Hashable, state: State, steps: int, threads: int) -> Prepared | None:
        known = self.known.get(key)
        if key in self.known and (known is None or known.fits(state)):
            return known
        self.known = {key: self._made(state, steps, threads)}
        return self.known[key]

    def _made(self, state: State, steps: int, threads: int) -> Prepared | None:
        kernels = library()
        assert kernels is not None
        recipe = Recipe(self.executor, kernels, Slots(len(self.executor.plan.sites)), threads)
        program = recipe.program(state, steps)
        if program is None:
            return None
        return Prepared(
            recipe,
            Beginning.of(recipe.slots, state, self.executor.constants),
            {i: binding for i, binding in state.bindings.items() if not binding.transparent},
            {steps: program},
        )
