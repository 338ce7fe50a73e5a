"""One time step of a spiking network as standard ONNX nodes.

Between sites only increments travel, as in `runtime/execute.py`; a value that a site, a product
or an output needs is a state: x(t) = x(t-1) + dx(t).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from onnx import helper

from onnx2snn.export.neurons import ALPHABETS, Firing
from onnx2snn.export.nodes import write_node, zeros_like
from onnx2snn.export.once import Once
from onnx2snn.export.special import NEURONS, Inputs
from onnx2snn.export.targets import write_target
from onnx2snn.export.writer import Writer
from onnx2snn.runtime.increments import constant_summands
from onnx2snn.runtime.plan import (
    ConstantStep,
    DifferenceStep,
    LinearStep,
    Plan,
    SiteStep,
    step_outputs,
)

STATE, NEXT, CHANGE, SPIKES = ".state", ".next", ".change", ".spikes"
_ADDITIONS = ("Add", "Sum", "Sub")
_SILENT = np.zeros((), np.int8)


@dataclass(frozen=True)
class StateNames:
    """A state: its value before the step, after it, and at t = 0; `site` whose estimate it is."""

    tensor: str
    before: str
    after: str
    start: str
    site: str = ""


@dataclass(frozen=True)
class SiteInputs:
    """Names of what a site reads anew at every step; "" where it does not."""

    step_size: str
    threshold: str = ""
    active: str = ""
    rate: str = ""
    kept: str = ""


@dataclass
class Step:
    """Emits one time step.

    once:       the graph at t = 0, whose constant results the step reads.
    writer:     where the step's nodes go.
    schedules:  per site, its inputs.
    spikes:     per site, the name of its spikes.
    """

    plan: Plan
    once: Once
    writer: Writer
    schedules: Mapping[str, SiteInputs]
    changes: dict[str, str] = field(default_factory=dict)
    states: dict[str, StateNames] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    spikes: dict[str, str] = field(default_factory=dict)

    def write(self) -> None:
        """Emit every step of the plan that does anything over time."""
        for step in self.plan.steps:
            if isinstance(step, LinearStep):
                self._linear(step)
            elif isinstance(step, SiteStep):
                self._site(step)
            elif isinstance(step, DifferenceStep):
                self._difference(step)
            if isinstance(step, ConstantStep):
                continue
            for name in step_outputs(step):
                if name in self.plan.integrated and name not in self.values:
                    self._integrate(name)

    def value(self, name: str) -> str:
        """The name of a tensor's value after this step, "" for an absent operand."""
        return self.values[name] if name in self.plan.varying else self.once.value(name)

    def _state(self, name: str, site: str = "") -> StateNames:
        names = self.writer.store.names
        before, after = names.fresh(name + STATE), names.fresh(name + NEXT)
        state = StateNames(name, before, after, self.once.value(name), site)
        self.states[name] = state
        self._shape(before, name)
        return state

    def _integrate(self, name: str) -> None:
        """x(t) = x(t-1) + dx(t)."""
        state = self._state(name)
        self._bind(name, self._after(state, "Add", state.before, self.changes[name]))

    def _after(self, state: StateNames, op_type: str, *inputs: str) -> str:
        """Emit the node whose result is the state after the step."""
        self.writer.nodes.append(helper.make_node(op_type, inputs, [state.after], state.after))
        return state.after

    def _bind(self, name: str, value: str) -> None:
        self.values[name] = value
        self._shape(value, name)

    def _shape(self, value: str, name: str) -> None:
        """Note that `value` has the shape of the tensor `name`."""
        if name in self.once.known.shapes:
            self.writer.shapes[value] = self.once.known.shapes[name]

    def _linear(self, step: LinearStep) -> None:
        """dy = A(dx) - A(0): the node without its constant summands."""
        node = step.node
        if self._is_transparent(step):
            self.changes[node.outputs[0]] = self.changes[node.inputs[min(step.varying)]]
            return
        summands = constant_summands(step, len(node.inputs))
        operands = []
        for i, name in enumerate(node.inputs):
            if i in step.varying:
                operands.append(self.changes[name])
            elif name and i in summands:
                operands.append(
                    "" if summands[i] else zeros_like(self.once.writer, self.once.value(name))
                )
            else:
                operands.append(self.once.value(name))
        for name, result in zip(
            node.outputs,
            write_node(self.writer, node, operands, analog=False, suffix=CHANGE),
            strict=True,
        ):
            if name:
                self.changes[name] = result
                self._shape(result, name)

    def _is_transparent(self, step: LinearStep) -> bool:
        """Whether a constant is added to one signal that has the result's shape already."""
        (signal, *more), node = sorted(step.varying), step.node
        if more or len(node.inputs) != 2 or node.op_type not in _ADDITIONS:
            return False
        if node.op_type == "Sub" and signal:
            return False
        shapes = self.once.known.shapes
        full, result = shapes.get(node.inputs[signal]), shapes.get(node.outputs[0])
        if full is None or full != result:
            return False
        return None not in full

    def _site(self, step: SiteStep) -> None:
        """Charge, fire, update; see `export/neurons.py`."""
        site, own = step.site, self.schedules[step.site.name]
        if step.neuron:
            self._special_site(step, own)
            return
        if any(name in self.plan.varying for name in site.operands):
            currents = [self.value(name) for name in site.operands]
            target = write_target(self.writer, step, currents, self.once.value)
        else:
            target = self.once.target(step)
        if own.threshold:
            hint = f"{site.name}/level"
            target = self.writer.call("Add", target, own.threshold, hint=hint)
        state = self._state(site.output, site.name)
        fire = ALPHABETS[step.alphabet]
        firing = fire(self.writer, state.before, target, own.step_size, site.name)
        self._update(step, own, state, firing)

    def _special_site(self, step: SiteStep, own: SiteInputs) -> None:
        """Neurons other than the signGD one; see `export/special.py`."""
        currents = [self.value(name) for name in step.site.operands]
        state = self._state(step.site.output, step.site.name)
        given = Inputs(state.before, currents, own.step_size, own.threshold, own.rate, own.kept)
        self._update(step, own, state, NEURONS[step.neuron](self.writer, step, given))

    def _update(self, step: SiteStep, own: SiteInputs, state: StateNames, firing: Firing) -> None:
        """v(t) = v(t-1) + dv(t); spikes are none outside of the site's window."""
        site = step.site
        self.changes[site.output] = firing.increment
        self._shape(firing.increment, site.output)
        self._bind(site.output, self._after(state, "Add", state.before, firing.increment))
        if not firing.spikes:
            return
        self.spikes[site.name] = firing.spikes
        if own.active:
            silent = self.writer.constant(_SILENT)
            self.spikes[site.name] = self.writer.call("Where", own.active, firing.spikes, silent)

    def _difference(self, step: DifferenceStep) -> None:
        """y(t) of the values; y(t) - y(t-1) is what it sends."""
        node = step.node
        operands = [self.value(name) for name in node.inputs]
        results = write_node(self.writer, node, operands, analog=step.operator is None)
        for name, result in zip(node.outputs, results, strict=True):
            if not name:
                continue
            state = self._state(name)
            self._bind(name, self._after(state, "Identity", result))
            if not self.once.known.is_discrete(name):
                hint = name + CHANGE
                self.changes[name] = self.writer.call("Sub", result, state.before, hint=hint)
                self._shape(self.changes[name], name)
