"""SpikingSession: a spiking file, opened for simulation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from onnx2snn.ops.errors import DataError, UsageError
from onnx2snn.runtime.devices import KERNELS, choose_device
from onnx2snn.runtime.energy import Account, account
from onnx2snn.runtime.execute import Executor
from onnx2snn.runtime.fused.sites import FusedSites
from onnx2snn.runtime.graph import TensorInfo, read_graph
from onnx2snn.runtime.inputs import Feed, read_inputs
from onnx2snn.runtime.open import open_model
from onnx2snn.runtime.parameters import constants_on, read_parameters
from onnx2snn.runtime.plan import Plan, compile_plan
from onnx2snn.runtime.precision import ARITHMETIC, PRECISIONS
from onnx2snn.runtime.program.repeat import Repeat
from onnx2snn.runtime.recording import recordings_on
from onnx2snn.runtime.runner import Runner
from onnx2snn.runtime.state import Parameters, State

# Time steps and names of outputs.
Call = tuple[int, tuple[str, ...] | None]

__all__ = ["PRECISIONS", "Point", "SpikingSession"]


@dataclass(frozen=True)
class Point:
    """What a simulation has come to after `time_steps` steps."""

    time_steps: int
    outputs: dict[str, NDArray[Any]]
    account: Account


class SpikingSession:
    """Runs a spiking file over T time steps; shaped like `onnxruntime.InferenceSession`.

    model:     path of a file, its bytes, or an `onnx.ModelProto`.
    device:    "auto" (the GPU where there is one), "cpu" or "cuda".
    precision: "float32" or "float64", of states, weights and results; "bf16" or "tf32": float32,
               and synaptic operators multiply in that shorter format.
    block:     time steps that go through the graph in one call; None chooses by memory. The
               spikes are the same whatever it is.
    memory:    bytes for the signals of such a block; None suits the device's caches.
    compile:   whether sites run as compiled kernels, in float32: on the CPU where there is a C
               compiler, on a GPU by Triton, where time loops are also recorded as CUDA graphs.

    Nothing is carried over from one call to the next. Raises ModelError for a file that
    cannot be run.
    """

    def __init__(
        self,
        model: str | Path | bytes | onnx.ModelProto,
        *,
        device: str = "auto",
        precision: str = "float32",
        block: int | None = None,
        memory: int | None = None,
        compile: bool = True,
    ) -> None:
        if precision not in ARITHMETIC:
            raise UsageError(f"precision '{precision}' is not one of {', '.join(ARITHMETIC)}")
        if block is not None and block < 1:
            raise UsageError(f"block is {block}; it must be at least one time step")
        if memory is not None and memory < 1:
            raise UsageError(f"memory is {memory} bytes; it must be positive")
        arithmetic = ARITHMETIC[precision]
        self._device, self._dtype = choose_device(device), arithmetic.states
        self._plan = compile_plan(read_graph(open_model(model)))
        constants = constants_on(self._plan, self._device, self._dtype)
        parameters = read_parameters(self._plan, self._device, self._dtype)
        compiled = compile and self._device.type in KERNELS and self._dtype == torch.float32
        executor = Executor(
            self._plan,
            constants=constants,
            parameters=parameters,
            device=self._device,
            dtype=self._dtype,
            synapses=arithmetic.synapses,
            fused=FusedSites(self._plan, parameters, constants, self._device) if compiled else None,
        )
        self._parameters = parameters
        recordings = recordings_on(self._device) if compile else None
        self._runner = Runner(executor, arithmetic, block, memory, self.time_steps, recordings)
        self._output_types = {info.name: info.dtype for info in self._plan.graph.outputs}
        self._output_names = list(self._output_types)
        self._repeats: dict[Call, Repeat] = {}

    @property
    def plan(self) -> Plan:
        """The immutable plan that every call follows."""
        return self._plan

    @property
    def parameters(self) -> Mapping[str, Parameters]:
        """Initial estimate, step sizes and thresholds of every site, by its name."""
        return self._parameters

    @property
    def metadata(self) -> Mapping[str, str]:
        """Metadata of the file: time steps, source, calibration, tool version."""
        return self._plan.graph.metadata

    @cached_property
    def time_steps(self) -> int:
        """T, the number of steps that the schedules of the file hold."""
        steps = [p.time_steps for p in self._parameters.values()]
        return min(steps, default=1)

    @property
    def window(self) -> int:
        """K, the most steps in which any one site fires; less than T where sites take turns."""
        spans = (p.window[1] - p.window[0] for p in self._parameters.values())
        return max(spans, default=1)

    def get_inputs(self) -> list[TensorInfo]:
        """Names, types and shapes of the inputs."""
        return list(self._plan.graph.inputs)

    def get_outputs(self) -> list[TensorInfo]:
        """Names, types and shapes of the outputs."""
        return list(self._plan.graph.outputs)

    def run(
        self,
        output_names: Sequence[str] | None,
        feed: Feed,
        *,
        time_steps: int | None = None,
        at: Sequence[int] | None = None,
    ) -> list[NDArray[Any]]:
        """Outputs after `time_steps` steps (default: all the file holds).

        With `at`, a list of steps, every result gains a leading axis, one entry per step.
        Raises DataError for a feed that does not fit the inputs.
        """
        last = self.time_steps if time_steps is None else time_steps
        call = (last, None if output_names is None else tuple(output_names))
        repeat = self._repeats.get(call) if at is None and type(last) is int else None
        if repeat is not None:
            outputs = repeat(feed)
            if outputs is not None:
                return outputs
        names = self._output_names if output_names is None else output_names
        unknown = set(names).difference(self._output_names)
        if unknown:
            raise DataError(f"the model has no output '{min(unknown)}'")
        points = [last] if at is None else list(at)
        wanted, inputs = self._checked_steps(points), self._inputs(feed)
        if at is None:
            found = self._runner.last(inputs, last, self._output_names, self._output)
            self._repeats = self._repeated(inputs, call, names)
            return [found[name] for name in names]
        states = self._runner.states(inputs, wanted, self._output_names, counting=False)
        seen = {state.time: self._outputs(state) for state in states}
        return [np.stack([seen[t][name] for t in points]) for name in names]

    def simulate(
        self,
        feed: Feed,
        at: Iterable[int],
        progress: Callable[[int], None] | None = None,
        probe: Callable[[State], None] | None = None,
    ) -> list[Point]:
        """Outputs, spikes and synaptic operations after each of the time steps `at`.

        `probe` is called there with the state, which it may read but neither change nor keep.
        """
        return list(self.stream(feed, at, progress, probe))

    def stream(
        self,
        feed: Feed,
        at: Iterable[int],
        progress: Callable[[int], None] | None = None,
        probe: Callable[[State], None] | None = None,
    ) -> Iterator[Point]:
        """As `simulate`, point by point: steps are simulated when a point is asked for."""
        wanted, inputs = self._checked_steps(at), self._inputs(feed)
        shown = None if probe else self._output_names
        for state in self._runner.states(inputs, wanted, shown, progress):
            point = Point(state.time, self._outputs(state), account(self._plan, state))
            if probe:
                with self._runner.arithmetic():
                    probe(state)
            yield point

    def value(self, name: str, state: State) -> Tensor:
        """The tensor `name` in a state that `simulate` shows to its probe."""
        return self._runner.executor.value(name, state)

    def _repeated(
        self, inputs: Mapping[str, Tensor], call: Call, names: Sequence[str]
    ) -> dict[Call, Repeat]:
        outputs = [(name, self._output_types[name]) for name in names]
        finite = bool(self._plan.sites)
        repeat = self._runner.repeat(inputs, call[0], outputs, finite=finite)
        return {} if repeat is None else {call: repeat}

    def _checked_steps(self, at: Iterable[int]) -> list[int]:
        wanted = list(at)
        if not wanted:
            raise UsageError("no time step was asked for; name at least one")
        for t in wanted:
            if isinstance(t, bool) or not isinstance(t, int | np.integer) or t < 1:
                raise UsageError(f"time steps must be positive whole numbers, not {t!r}")
            if self._plan.sites and t > self.time_steps:
                raise UsageError(
                    f"{t} time steps were asked for, but the file holds a schedule of "
                    f"{self.time_steps}; convert with --time-steps {t}"
                )
        return sorted({int(t) for t in wanted})

    def _inputs(self, feed: Feed) -> dict[str, Tensor]:
        finite = bool(self._plan.sites)
        return read_inputs(self._plan.graph.inputs, feed, self._device, self._dtype, finite=finite)

    def _outputs(self, state: State) -> dict[str, NDArray[Any]]:
        return {name: self._output(name, self.value(name, state)) for name in self._output_names}

    def _output(self, name: str, value: Tensor) -> NDArray[Any]:
        array: NDArray[Any] = value.cpu().numpy()
        if value.is_floating_point() and self._dtype == torch.float32:
            return array.astype(self._output_types[name], copy=True)
        return array.copy()
