"""Calibration: one walk through the plan, fixing one site after another.

Sites are visited in topological order. With every upstream schedule fixed, the trajectory
f(x(t)), t = 1 .. T, that a site chases is known; its schedule is chosen on it, and the
site's spikes are passed on. Time is folded into the tensors, so each operator runs once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from onnx2snn.calibration.layout import ChannelAxes
from onnx2snn.calibration.rows import axis_of_schedules
from onnx2snn.calibration.task import Network, Task
from onnx2snn.calibration.trajectory import Trajectory, by_channel
from onnx2snn.ops.lowering import Site
from onnx2snn.runtime.execute import Executor
from onnx2snn.runtime.plan import Plan, SiteStep, step_outputs
from onnx2snn.runtime.signals import Signals
from onnx2snn.runtime.state import Parameters, State


@dataclass(frozen=True)
class SiteParameters:
    """What the file stores for one site (shapes as in `runtime.parameters`)."""

    scale: Tensor
    initial: Tensor
    step_sizes: Tensor
    thresholds: Tensor

    def placed(self, start: int, latency: int) -> SiteParameters:
        """The schedule moved to step `start` of `latency` steps; silence in the others."""

        def padded(over_time: Tensor) -> Tensor:
            after = latency - start - over_time.shape[0]
            shape = over_time.shape[1:]
            zeros = over_time.new_zeros
            return torch.cat([zeros((start, *shape)), over_time, zeros((after, *shape))])

        if latency == self.step_sizes.shape[0]:
            return self
        return replace(self, step_sizes=padded(self.step_sizes), thresholds=padded(self.thresholds))


Choose = Callable[[SiteStep, Trajectory], SiteParameters]
Progress = Callable[[int, int], None]


@dataclass
class Walk:
    """A calibration run over one batch of calibration data.

    choose: picks a site's parameters on its trajectory.
    """

    task: Task
    choose: Choose
    chosen: dict[str, SiteParameters] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        """The plan of the task."""
        return self.task.plan

    def run(self, progress: Progress | None = None) -> dict[str, SiteParameters]:
        """Parameters of every site, by its name."""
        network = Network(self.task)
        parameters, executor = network.parameters, network.executor
        inputs, targets = self.task.inputs, self.task.values.targets()
        start, now = State.of(inputs), State.of(inputs)
        now = replace(now, bindings=start.bindings)
        signals, axes = Signals(self.task.windows.latency), ChannelAxes(signals=set(inputs))
        with torch.inference_mode():
            for index, step in enumerate(self.plan.steps):
                if isinstance(step, SiteStep):
                    parameters[step.site.name] = self._fix(
                        executor, step, targets(step), now, signals, axes
                    )
                    now.spikes[step.site.name] = torch.zeros((), dtype=torch.int64)
                executor.initialise(index, start)
                self._copy(step_outputs(step), index, start, now)
                executor.advance(index, now, signals)
                axes.follow(step, self._rank(step_outputs(step), now, start))
                if progress:
                    progress(index + 1, len(self.plan.steps))
        return self.chosen

    def _fix(
        self,
        executor: Executor,
        step: SiteStep,
        target: Tensor,
        now: State,
        signals: Signals,
        axes: ChannelAxes,
    ) -> Parameters:
        start, length = self.task.windows.starts[step.site.name], self.task.windows.length
        currents = executor.currents(step, now, signals, slice(start, start + length))
        final = target.float()
        moving = (step.site.target(*(x[t] for x in currents)) for t in range(length))
        axis = site_axis(step.site, axes, final.dim())
        each_neuron = self.task.has_own_axes(final)
        if each_neuron:
            axis = axis_of_schedules(final, axis)
        seen = self.task.values.moments.get(step.site.name)
        data = by_channel(moving, final, axis, each_neuron, seen)
        fixed = self.choose(step, data).placed(start, self.task.windows.latency)
        self.chosen[step.site.name] = fixed
        return Parameters.of(fixed.scale, fixed.initial, fixed.step_sizes, fixed.thresholds)

    def _copy(self, names: tuple[str, ...], index: int, start: State, now: State) -> None:
        for name in names:
            if name in start.values:
                now.values[name] = start.values[name]
        for name in self.plan.last_use[index]:
            if name not in self.plan.kept:
                now.values.pop(name, None)

    def _rank(self, names: tuple[str, ...], *states: State) -> int:
        for state in states:
            for name in names:
                if name in state.values:
                    return state.values[name].dim()
        return 0


def site_axis(site: Site, axes: ChannelAxes, rank: int) -> int | None:
    """Channel axis of a site of `rank` axes, counted from the last; None if it has none."""
    known = [name for name in site.operands if name in axes.axes]
    return axes.of(known[0] if known else site.operands[0], rank)
