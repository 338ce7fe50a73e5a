"""What is calibrated, on what, and the simulation that judges it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from onnx2snn.calibration.values import AnnValues
from onnx2snn.calibration.windows import Windows
from onnx2snn.ops.dynamics import Scan, scan
from onnx2snn.runtime.execute import Executor
from onnx2snn.runtime.parameters import constants_on
from onnx2snn.runtime.plan import Plan
from onnx2snn.runtime.signals import Signals
from onnx2snn.runtime.state import Parameters, State

SMALLEST_VARIANCE = 1e-12
DEVICE = torch.device("cpu")

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Task:
    """A plan whose sites have no parameters yet, and calibration data for them.

    inputs:  calibration inputs by name, samples first.
    values:  the ANN's on these inputs.
    windows: when each site fires.
    saves_energy: whether spikes have a price.
    """

    plan: Plan
    inputs: Tensors
    values: AnnValues
    windows: Windows
    saves_energy: bool = True

    @property
    def samples(self) -> int:
        """Calibration samples."""
        return self.values.samples

    @property
    def outputs(self) -> Tensors:
        """The ANN's floating-point outputs that vary with time, by name, samples first."""
        found = self.values.outputs
        return {name: x for name, x in found.items() if name in self.plan.varying}

    @cached_property
    def targets(self) -> dict[str, Tensor]:
        """f* by site name, samples first."""
        targets = self.values.targets()
        return {step.site.name: targets(step) for step in self.plan.sites}

    @cached_property
    def variances(self) -> dict[str, float]:
        """Variance of f* by site name, over samples and neurons."""
        return {
            name: max(float(target.var(correction=0)), SMALLEST_VARIANCE)
            for name, target in self.targets.items()
        }

    @property
    def is_finite(self) -> bool:
        """Whether all that sites and outputs should come to are finite numbers."""
        tensors = (*self.targets.values(), *self.outputs.values())
        return all(bool(torch.isfinite(x).all()) for x in tensors)

    @cached_property
    def is_fixed(self) -> bool:
        """Whether the model leaves no axis open but that of the samples."""
        shapes = [info.shape for info in self.plan.graph.inputs]
        return all(
            shape is not None and all(isinstance(size, int) for size in shape[1:])
            for shape in shapes
        )

    def has_own_axes(self, target: Tensor) -> bool:
        """Whether a site's neurons are told apart by all axes of `target` but the first."""
        return self.is_fixed and target.dim() > 1 and target.shape[0] == self.samples

    def rows(self, tensors: Tensors, rows: Tensor) -> dict[str, Tensor]:
        """Some samples of `tensors`; a tensor without a sample axis is the same for all."""
        return {
            name: x[rows] if x.dim() and x.shape[0] == self.samples else x
            for name, x in tensors.items()
        }


@dataclass(frozen=True)
class Network:
    """The plan of a task with parameters that may be replaced from one run to the next.

    scan: runs the steps of a site.
    """

    task: Task
    parameters: dict[str, Parameters] = field(default_factory=dict)
    scan: Scan = scan

    @cached_property
    def executor(self) -> Executor:
        """Reads `parameters` as they stand at the time of a run."""
        constants = constants_on(self.task.plan, DEVICE, torch.float32)
        return Executor(
            self.task.plan, constants, self.parameters, DEVICE, torch.float32, self.scan
        )

    def initial(self, rows: Tensor) -> State:
        """The state at t = 0 on some samples."""
        state = State.of(self.task.rows(self.task.inputs, rows))
        for index in range(len(self.task.plan.steps)):
            self.executor.initialise(index, state)
        return state

    def run(self, rows: Tensor) -> State:
        """The state after all time steps on some samples."""
        state = self.initial(rows)
        signals = Signals(self.task.windows.latency)
        for index in range(len(self.task.plan.steps)):
            self.executor.advance(index, state, signals)
        return state
