"""Runs a plan: the initial pass at t = 0, then blocks of K time steps, layer by layer.

The signals of a block have a leading time axis (`runtime.signals`); K = 1 is step by step.
Spikes, and nothing else, leave a site: the increment -eta(t) * sigma(t). Linear steps pass
increments on, so that x(t) = x(0) + sum of increments = A(v(t)) for every affine path A.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from onnx2snn.ops.dynamics import ALPHABETS, Scan, counted, scan
from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.neurons import SCANS
from onnx2snn.runtime.binding import Binding, bound_step
from onnx2snn.runtime.fused.sites import FusedSites
from onnx2snn.runtime.increments import only
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
from onnx2snn.runtime.precision import SYNAPTIC
from onnx2snn.runtime.signals import (
    Course,
    Signals,
    Span,
    accumulate,
    differences,
    last,
    union,
)
from onnx2snn.runtime.state import Parameters, State


@dataclass(frozen=True)
class Executor:
    """A plan on a device: its constants as tensors and the parameters of its sites.

    scan:      runs the steps of a signGD site.
    synapses:  format in which synaptic operators multiply increments, None for `dtype`.
    fused:     runs sites by compiled kernels; None for eager code throughout.
    bindings:  of linear steps to the constants and shapes they last had.
    """

    plan: Plan
    constants: Mapping[str, Tensor]
    parameters: Mapping[str, Parameters]
    device: torch.device
    dtype: torch.dtype
    scan: Scan = scan
    synapses: torch.dtype | None = None
    fused: FusedSites | None = None
    bindings: dict[int, Binding] = field(default_factory=dict)

    @cached_property
    def nodes(self) -> NodeRunner:
        """What evaluates single nodes, its onnxruntime sessions kept from call to call."""
        return NodeRunner(self.plan.graph.opsets)

    @cached_property
    def followed(self) -> tuple[tuple[str, ...], ...]:
        """Per step, the results whose values are added up as soon as it has run."""
        deferred = {} if self.fused is None else self.fused.last_reader
        wanted = self.plan.integrated.difference(deferred)
        return tuple(
            tuple(name for name in step_outputs(step) if name in wanted) for step in self.plan.steps
        )

    def initialise(self, index: int, state: State) -> Sequence[Tensor]:
        """Evaluate step `index` at t = 0, with v(0) for every site; its results."""
        step = self.plan.steps[index]
        operands = self.operands(step, state)
        results: Sequence[Tensor]
        if isinstance(step, SiteStep):
            results = [self._initial_estimate(step, operands, state)]
        else:
            results = self.nodes.apply(step.node, step.operator, operands)
        self._account(index, step, operands, results, state)
        for name, result in zip(_names(step), results, strict=False):
            if name:
                state.values[name] = self._placed(result)
                state.shapes[name] = result.shape
        if isinstance(step, LinearStep):
            state.bindings[index] = self._binding(index, step, operands, results)
        self.release(index, state)
        return results

    def repeat(self, index: int, step: LinearStep, operands: Operands, state: State) -> None:
        """Evaluate a step at t = 0 whose shapes, binding and arithmetic the state has already."""
        state.values.update(self.evaluated(step, operands))
        self.release(index, state)

    def evaluated(self, step: LinearStep | ConstantStep, operands: Operands) -> dict[str, Tensor]:
        """The results of a step at t = 0, by name."""
        results = self.nodes.apply(step.node, step.operator, operands)
        pairs = zip(step.node.outputs, results, strict=False)
        return {name: self._placed(result) for name, result in pairs if name}

    def _placed(self, result: Tensor) -> Tensor:
        """On the device, numbers in the format of states."""
        if result.dtype == self.dtype and result.device == self.device:
            return result
        kind = self.dtype if result.is_floating_point() else result.dtype
        return result if _is_integer(result) else result.to(self.device, kind)

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
            self._advance_site(index, step, state, signals)
        elif isinstance(step, DifferenceStep):
            self._advance_difference(step, state, signals)
        for name in self.followed[index]:
            if name in signals.increments:
                self.course(name, state, signals)
        signals.release(self.plan.last_use[index])

    def course(self, name: str, state: State, signals: Signals) -> Course:
        """The value of a tensor over the block; moves the state to its end."""
        known = signals.courses.get(name)
        if known is not None:
            return known
        if name not in self.plan.varying:
            return Course(self.value(name, state), None)
        before, change = state.values[name], signals.increments.get(name)
        if change is None:
            course = Course(before, None)
        else:
            values = accumulate(before, change.values)
            course = Course(before, Span(change.start, values))
            state.values[name] = last(values)
        signals.courses[name] = course
        return course

    def operands(self, step: Step, state: State) -> Operands:
        """Values of what a step reads, None for operands left out."""
        names = step.site.operands if isinstance(step, SiteStep) else step.node.inputs
        return [self.value(name, state) if name else None for name in names]

    def value(self, name: str, state: State) -> Tensor:
        """A tensor as a state shows it, or a constant."""
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
        if not isinstance(step, SiteStep) and step.operator is not None:
            macs = step.operator.macs(operands, results, step.node.attributes)
            if macs:
                state.macs[index] = macs

    def _binding(
        self, index: int, step: LinearStep, operands: Operands, results: Sequence[Tensor]
    ) -> Binding:
        known = self.bindings.get(index)
        if known is None or not known.fits(operands):
            synapses = self.synapses if step.node.op_type in SYNAPTIC else None
            known = self.bindings[index] = bound_step(step, operands, results, synapses)
        return known

    def _advance_linear(self, index: int, step: LinearStep, state: State, signals: Signals) -> None:
        binding = state.bindings[index]
        changes = {
            i: signals.increments[name] for i, name in binding.signals if name in signals.increments
        }
        if not changes:
            return
        if binding.transparent:
            signals.increments[step.node.outputs[0]] = only(changes, changes)
            return
        start, stop = union(changes.values())
        moving = {
            i: (
                changes[i].widened(start, stop)
                if i in changes
                else only(changes, changes).values.new_zeros((stop - start, *shape))
            )
            for i, shape in binding.shapes.items()
        }
        for name, result in zip(
            step.node.outputs, self._increments(step, binding, moving, stop - start), strict=False
        ):
            if name:
                signals.increments[name] = Span(start, result)

    def _increments(
        self, step: LinearStep, binding: Binding, moving: Mapping[int, Tensor], steps: int
    ) -> Sequence[Tensor]:
        """What a linear step makes of the increments of its varying operands."""
        if binding.apply is not None:
            return [binding.apply(*moving.values())]
        operands = list(binding.operands)
        for i, values in moving.items():
            operands[i] = values if binding.synapses is None else values.to(binding.synapses)
        results = self.nodes.apply_over_time(
            step.node, step.operator, operands, step.varying, steps
        )
        return [r.to(self.dtype) for r in results] if self.synapses else results

    def currents(self, step: SiteStep, state: State, signals: Signals, part: slice) -> list[Tensor]:
        """The input currents x_i(t) of a site over part of the block, [steps, *operand] each."""
        courses = [self.course(name, state, signals) for name in step.site.operands]
        return [course.over(part.start, part.stop) for course in courses]

    def _advance_site(self, index: int, step: SiteStep, state: State, signals: Signals) -> None:
        if self.fused is not None:
            if self.fused.advance(index, step, state, signals):
                return
            for name in step.site.operands:
                self.course(name, state, signals)
        parameters = self.parameters[step.site.name]
        part = parameters.firing(state.time, state.time + signals.steps)
        if part.start == part.stop:
            return
        currents = self.currents(step, state, signals, part)
        steps = slice(state.time + part.start, state.time + part.stop)
        estimate, target = state.values[step.site.output], step.site.target
        if step.neuron:
            drive = parameters.drive(currents, steps, step.site.seed)
            block = SCANS[step.neuron](estimate, drive, target)
        else:
            block = self.scan(
                estimate,
                currents,
                parameters.step_sizes[steps],
                parameters.thresholds[steps],
                target,
                ALPHABETS[step.alphabet],
            )
        if step.site.output not in self.plan.integrated:
            state.values[step.site.output] = block.estimate
        state.spikes[step.site.name] = state.spikes[step.site.name] + counted(block.spikes)
        signals.increments[step.site.output] = Span(part.start, block.increments)

    def _advance_difference(self, step: DifferenceStep, state: State, signals: Signals) -> None:
        courses = {i: self.course(step.node.inputs[i], state, signals) for i in step.varying}
        moving = [course.moving for course in courses.values() if course.moving is not None]
        if not moving:
            return
        start, stop = union(moving)
        operands: Operands = [self.value(n, state) if n else None for n in step.node.inputs]
        for i, course in courses.items():
            operands[i] = course.over(start, stop)
        results = self.nodes.apply_over_time(
            step.node, step.operator, operands, step.varying, stop - start
        )
        for name, result in zip(step.node.outputs, results, strict=False):
            if not name:
                continue
            before = state.values[name]
            if torch.is_floating_point(result):
                signals.increments[name] = Span(start, differences(before, result))
            signals.courses[name] = Course(before, Span(start, result))
            state.values[name] = last(result)


def _names(step: Step) -> tuple[str, ...]:
    return (step.site.output,) if isinstance(step, SiteStep) else step.node.outputs


def _is_integer(tensor: Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.dtype == torch.bool)
