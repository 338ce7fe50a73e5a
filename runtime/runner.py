"""Runs simulations: chooses how, block by block, and keeps what later calls share."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from onnx2snn.runtime.allocation import retain_memory
from onnx2snn.runtime.budget import block_length, even
from onnx2snn.runtime.execute import Executor
from onnx2snn.runtime.precision import Arithmetic
from onnx2snn.runtime.program.programs import Programs
from onnx2snn.runtime.program.repeat import Repeat, repeated
from onnx2snn.runtime.program.simulation import Simulation
from onnx2snn.runtime.recording import Graphs, Recording, Recordings, record
from onnx2snn.runtime.signals import Signals
from onnx2snn.runtime.start import Opening, begin
from onnx2snn.runtime.state import State
from onnx2snn.runtime.threads import Pace, one_thread

Shown = TypeVar("Shown")


@dataclass
class Runner:
    """Simulations of one plan, which share nothing that changes.

    block:      time steps that go through the graph in one call, None to choose by memory.
    memory:     bytes for the signals of such a block, None for what suits the device.
    time_steps: most steps that are asked for.
    recordings: of time loops, None where the device records nothing.
    programs, openings, paces: of inputs of the shapes last met.
    """

    executor: Executor
    precision: Arithmetic
    block: int | None
    memory: int | None
    time_steps: int
    recordings: Recordings | None = None
    programs: Programs = field(init=False)
    openings: dict[Hashable, Opening] = field(default_factory=dict)
    paces: dict[Hashable, Pace] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.programs = Programs(self.executor)

    @contextmanager
    def arithmetic(self) -> Iterator[None]:
        """What PyTorch has to know while a simulation runs."""
        with torch.inference_mode(), self.precision.applied():
            yield

    def last(
        self,
        inputs: Mapping[str, Tensor],
        end: int,
        names: Sequence[str],
        shown: Callable[[str, Tensor], Shown],
    ) -> dict[str, Shown]:
        """The tensors named after `end` steps, as shown: a program alone takes but a few calls.

        shown: makes something of a name and its tensor, which others will write to.
        """
        key = _key(inputs)
        pace = self.paces.get(key)
        simulation = None if pace is None else self.programs.simulation(key, inputs)
        found = dict[str, Shown]()
        if pace is None or simulation is None:
            for state in self.states(inputs, [end], names, counting=False):
                found = {name: shown(name, self.executor.value(name, state)) for name in names}
            return found
        while simulation.time < end:
            simulation.advance(min(pace.steps, end - simulation.time))
        found = {name: shown(name, simulation.value(name)) for name in names}
        self.programs.end(key, simulation)
        return found

    def repeat(
        self,
        inputs: Mapping[str, Tensor],
        end: int,
        outputs: Sequence[tuple[str, np.dtype[Any]]],
        *,
        finite: bool,
    ) -> Repeat | None:
        """The repetition of a call of `last` that has just ended; None where there is none.

        outputs: names, and the types to be returned.
        finite:  whether NaN and infinity are left to others to refuse.
        """
        key = _key(inputs)
        pace, prepared = self.paces.get(key), self.programs.known.get(key)
        if pace is None or prepared is None:
            return None
        steps = [min(pace.steps, end - time) for time in range(0, end, pace.steps)]
        return repeated(prepared, inputs, steps, outputs, finite=finite)

    def states(
        self,
        inputs: Mapping[str, Tensor],
        at: Sequence[int],
        names: Sequence[str] | None,
        progress: Callable[[int], None] | None = None,
        *,
        counting: bool = True,
    ) -> Iterator[State]:
        """The state after each of the time steps `at`, which shows the tensors named, or all.

        A state is valid until the next one is asked for.
        counting: whether spikes are shown, too.
        """
        retain_memory()
        opening = self.openings.get(_key(inputs))
        with self.arithmetic():
            state, pace, simulation = self._start(inputs, at[0])
            recording = None
            if opening is not None and opening is self.openings.get(_key(inputs)):
                recording = self._recording(opening, inputs, at, names, state, pace)
        if recording is not None:
            yield from self._replayed(recording, state, progress)
            return
        for end in at:
            with self.arithmetic(), one_thread(pace.alone and simulation is None):
                self._advance_to(end, state, simulation, pace, progress)
                if simulation is not None:
                    simulation.show(state, names)
                    if counting:
                        simulation.count(state)
            yield state
        if simulation is not None:
            self.programs.end(_key(inputs), simulation)
        elif self.recordings is not None:
            self.recordings.seen = _kind(inputs, at, names)

    def _recording(
        self,
        opening: Opening,
        inputs: Mapping[str, Tensor],
        at: Sequence[int],
        names: Sequence[str] | None,
        state: State,
        pace: Pace,
    ) -> Recording | None:
        """The time loop from `state` on, which resumes an opening, where it has been recorded."""
        if self.recordings is None or names is None:
            return None

        def advance(moving: State, end: int) -> None:
            self._advance_to(end, moving, None, pace)

        def made(graphs: Graphs) -> Recording:
            return record(self.executor, graphs, state, opening, at, names, advance)

        return self.recordings.take(_kind(inputs, at, names), state, opening, made)

    def _replayed(
        self, recording: Recording, state: State, progress: Callable[[int], None] | None
    ) -> Iterator[State]:
        assert self.recordings is not None
        try:
            with self.arithmetic():
                recording.begin(state)
            for again, shown in recording.points:
                with self.arithmetic():
                    again()
                if progress:
                    progress(shown.time)
                yield shown
        finally:
            self.recordings.free()

    def _start(
        self, inputs: Mapping[str, Tensor], first: int
    ) -> tuple[State, Pace, Simulation | None]:
        """The state at t = 0, the pace that its shapes suggest, and the program that goes on.

        first: steps after which the first point comes.
        """
        key, threads = _key(inputs), torch.get_num_threads()
        pace = self.paces.get(key)
        with one_thread(pace is not None and pace.alone):
            begun = self.programs.begin(key, inputs)
            if pace is not None and begun is not None:
                return begun[0], pace, begun[1]
            state, opening = begin(self.executor, inputs, self.openings.get(key))
        if pace is None:
            pace = self._pace(state)
            self.paces = {key: pace}
            if self.programs.usable or (pace.alone and threads > 1):
                # Rounding may depend on the threads: the first call shall be as later ones are.
                del state, opening
                at_once, sharing = min(pace.steps, first), 1 if pace.program else threads
                with one_thread(pace.alone):
                    self.programs.prepare(key, inputs, at_once, sharing)
                return self._start(inputs, first)
        self.openings = {key: opening}
        return state, pace, None

    def _pace(self, state: State) -> Pace:
        steps = self.block or even(self._block_length(state), self.time_steps)
        return Pace.of(self.executor.plan, state, min(steps, self.time_steps))

    def _block_length(self, state: State) -> int:
        size = torch.finfo(self.executor.dtype).bits // 8
        return block_length(self.executor.plan, state, size, self.memory, self.executor.device)

    def _advance_to(
        self,
        end: int,
        state: State,
        simulation: Simulation | None,
        pace: Pace,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        while state.time < end:
            self._advance(state, simulation, min(pace.steps, end - state.time))
            if progress:
                progress(state.time)

    def _advance(self, state: State, simulation: Simulation | None, steps: int) -> None:
        if simulation is not None:
            simulation.advance(steps)
        else:
            signals = Signals(steps)
            for index in range(len(self.executor.plan.steps)):
                self.executor.advance(index, state, signals)
        state.time += steps


def _key(inputs: Mapping[str, Tensor]) -> Hashable:
    """What simulations of the same kind have in common: threads and shapes."""
    return (torch.get_num_threads(), *((name, x.shape) for name, x in inputs.items()))


def _kind(inputs: Mapping[str, Tensor], at: Sequence[int], names: Sequence[str] | None) -> Hashable:
    """What simulations have in common that do the same but for their data."""
    return (_key(inputs), tuple(at), None if names is None else tuple(names))
