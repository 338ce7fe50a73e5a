"""Runs a plan: the initial pass at t = 0, then blocks of K time steps, layer by layer.

Every varying tensor of a block has a leading time axis, [K, *shape]; K = 1 is step by step.
Spikes, and nothing else, leave a site: the increment -eta(t) * sigma(t). Linear steps pass
increments on, so that x(t) = x(0) + sum of increments = A(v(t)) for every affine path A.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from onnx2snn.ops.dynamics import ALPHABETS, scan
from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.increments import increment_operands, is_transparent, only
from onnx2snn.runtime.nodes import NodeRunner, Operands
from onnx2snn.runtime.plan import (
    ConstantStep,
    DifferenceStep,
    LinearStep,
    Plan,
    SiteStep,
    Step,
    step_outputs,
)
from onnx2snn.runtime.state import Parameters, State


@dataclass
class Signals:
    """Tensors of one block of K steps: increments, and trajectories where asked for."""

    steps: int
    increments: dict[str, Tensor] = field(default_factory=dict)
    trajectories: dict[str, Tensor] = field(default_factory=dict)

    def release(self, names: Sequence[str]) -> None:
        """Forget tensors that no later step reads."""
        for name in names:
            self.increments.pop(name, None)
            self.trajectories.pop(name, None)


@dataclass(frozen=True)
class Executor:
    """A plan on a device: its constants as tensors and the parameters of its sites."""

    plan: Plan
    constants: Mapping[str, Tensor]
    parameters: Mapping[str, Parameters]
    device: torch.device
    dtype: torch.dtype

    @cached_property
    def nodes(self) -> NodeRunner:
        """What evaluates single nodes, its onnxruntime sessions kept from call to call."""
        return NodeRunner(self.plan.graph.opsets)

    def initialise(self, index: int, state: State) -> None:
        """Evaluate step `index` at t = 0, with v(0) for every site."""
        step = self.plan.steps[index]
        operands = self._values(step, state)
        results: Sequence[Tensor]
        if isinstance(step, SiteStep):
            results = [self._initial_estimate(step, operands, state)]
        else:
            results = self.nodes.apply(step.node, step.operator, operands)
        self._account(index, step, operands, results, state)
        for name, result in zip(_names(step), results, strict=False):
            if name:
                state.values[name] = result if _is_integer(result) else result.to(self.device)
        if isinstance(step, LinearStep):
            state.operands[index] = increment_operands(step, operands)
            if is_transparent(step, operands, results):
                state.transparent.add(index)
        self.release(index, state)

    def release(self, index: int, state: State) -> None:
        """Forget what no step after `index` reads, but for the tensors the plan keeps."""
        for name in self.plan.last_use[index]:
            if name not in self.plan.kept:
                state.values.pop(name, None)

    def advance(self, index: int, state: State, signals: Signals) -> None:
        """Carry one block of time steps through step `index`."""
        step = self.plan.steps[index]
        if isinstance(step, LinearStep):
            self._advance_linear(index, step, state, signals)
        elif isinstance(step, SiteStep):
            self._advance_site(step, state, signals)
        elif isinstance(step, DifferenceStep):
            self._advance_difference(step, state, signals)
        for name in step_outputs(step):
            if name in self.plan.integrated and name in signals.increments:
                self.trajectory(name, state, signals)
        signals.release(self.plan.last_use[index])

    def trajectory(self, name: str, state: State, signals: Signals) -> Tensor:
        """x(t) for the steps of the block, shape [K, *shape]; moves the state to its end."""
        known = signals.trajectories.get(name)
        if known is not None:
            return known
        before, increments = state.values[name], signals.increments.get(name)
        if increments is None:
            return before.expand(signals.steps, *before.shape)
        result = torch.empty_like(increments)
        for t in range(signals.steps):
            before = torch.add(before, increments[t], out=result[t])
        state.values[name] = _last(result)
        signals.trajectories[name] = result
        return result

    def _values(self, step: Step, state: State) -> Operands:
        names = step.site.operands if isinstance(step, SiteStep) else step.node.inputs
        return [self._value(name, state) if name else None for name in names]

    def _value(self, name: str, state: State) -> Tensor:
        value = state.values.get(name)
        return self.constants[name] if value is None else value

    def _initial_estimate(self, step: SiteStep, operands: Operands, state: State) -> Tensor:
        target = step.site.target(*(x for x in operands if x is not None))
        initial = self.parameters[step.site.name].initial
        state.neurons[step.site.name] = target.numel()
        state.spikes[step.site.name] = torch.zeros((), dtype=torch.int64, device=target.device)
        try:
            return initial.expand(target.shape)
        except RuntimeError as error:
            raise ModelError(
                f"site '{step.site.name}': initial estimate of shape {list(initial.shape)} does "
                f"not fit neurons of shape {list(target.shape)}; convert the model again"
            ) from error

    def _account(
        self, index: int, step: Step, operands: Operands, results: Sequence[Tensor], state: State
    ) -> None:
        if not isinstance(step, ConstantStep):
            state.varying_bytes += sum(r.numel() * r.element_size() for r in results)
        if not isinstance(step, SiteStep) and step.operator is not None:
            macs = step.operator.macs(operands, results, step.node.attributes)
            if macs:
                state.macs[index] = macs

    def _advance_linear(self, index: int, step: LinearStep, state: State, signals: Signals) -> None:
        operands = list(state.operands[index])
        for i in step.varying:
            operands[i] = signals.increments[step.node.inputs[i]]
        if index in state.transparent:
            signals.increments[step.node.outputs[0]] = only(operands, step.varying)
            return
        results = self.nodes.apply_over_time(
            step.node, step.operator, operands, step.varying, signals.steps
        )
        for name, result in zip(step.node.outputs, results, strict=False):
            if name:
                signals.increments[name] = result

    def currents(self, step: SiteStep, state: State, signals: Signals) -> list[Tensor]:
        """The input currents x_i(t) of a site over the block, [K, *operand] each."""
        currents = []
        for name in step.site.operands:
            if name in self.plan.varying:
                currents.append(self.trajectory(name, state, signals))
            else:
                value = self._value(name, state)
                currents.append(value.expand(signals.steps, *value.shape))
        return currents

    def _advance_site(self, step: SiteStep, state: State, signals: Signals) -> None:
        currents = self.currents(step, state, signals)
        step_sizes = self.parameters[step.site.name].step_sizes
        block = scan(
            state.values[step.site.output],
            currents,
            step_sizes[state.time : state.time + signals.steps],
            step.site.target,
            ALPHABETS[step.alphabet],
        )
        if step.site.output not in self.plan.integrated:
            state.values[step.site.output] = block.estimate
        state.spikes[step.site.name] += block.spikes.sum()
        signals.increments[step.site.output] = block.increments

    def _advance_difference(self, step: DifferenceStep, state: State, signals: Signals) -> None:
        operands: Operands = [self._value(n, state) if n else None for n in step.node.inputs]
        for i in step.varying:
            operands[i] = self.trajectory(step.node.inputs[i], state, signals)
        results = self.nodes.apply_over_time(
            step.node, step.operator, operands, step.varying, signals.steps
        )
        for name, result in zip(step.node.outputs, results, strict=False):
            if not name:
                continue
            if torch.is_floating_point(result):
                before = state.values[name].unsqueeze(0)
                signals.increments[name] = result - torch.cat([before, result[:-1]])
            signals.trajectories[name] = result
            state.values[name] = _last(result)


def _last(trajectory: Tensor) -> Tensor:
    """The value after the block, in storage of its own so that the block can be freed."""
    return trajectory[-1].clone() if trajectory.shape[0] > 1 else trajectory[-1]


def _names(step: Step) -> tuple[str, ...]:
    return (step.site.output,) if isinstance(step, SiteStep) else step.node.outputs


def _is_integer(tensor: Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.dtype == torch.bool)
