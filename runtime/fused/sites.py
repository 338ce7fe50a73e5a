"""Runs the sites of a plan by fused kernels where there are such.

A fused site adds up its input currents itself, so no trajectory x(t) is ever written: what the
state holds are x and v at the block's end. Where several fused sites read one tensor, each
adds up its increments, and the last one stores the sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from onnx2snn.runtime.fused.kernel import Charge, SiteKernel, site_kernel
from onnx2snn.runtime.fused.layout import Layout, layout_of
from onnx2snn.runtime.fused.triton_kernel import TritonKernel, triton_kernel
from onnx2snn.runtime.plan import DifferenceStep, Plan, SiteStep, step_inputs, step_outputs
from onnx2snn.runtime.signals import Signals, Span
from onnx2snn.runtime.state import Parameters, State


@dataclass
class FusedSites:
    """Kernels and parameters of a plan's sites, in the layouts that kernels read.

    Belongs to one session; holds nothing of any simulation.
    """

    plan: Plan
    parameters: Mapping[str, Parameters]
    constants: Mapping[str, Tensor]
    device: torch.device
    layouts: dict[tuple[str, torch.Size], Layout | None] = field(default_factory=dict)

    @cached_property
    def kernels(self) -> dict[str, SiteKernel | TritonKernel]:
        """By name of the site; compiled when first asked for."""
        found = {}
        for step in self.plan.sites:
            repeated = len(set(step.site.operands)) < len(step.site.operands)
            make = site_kernel if self.device.type == "cpu" else triton_kernel
            eager = repeated or step.neuron
            kernel = None if eager else make(step.site.target, step.alphabet)
            if kernel is not None:
                found[step.site.name] = kernel
        return found

    @cached_property
    def last_reader(self) -> dict[str, int]:
        """By tensor that only fused sites integrate, the last of them."""
        readers: dict[str, int] = {}
        outputs = {info.name for info in self.plan.graph.outputs}
        excluded: set[str] = set(outputs)
        for index, step in enumerate(self.plan.steps):
            if isinstance(step, SiteStep) and step.site.name in self.kernels:
                readers.update(dict.fromkeys(step_inputs(step), index))
            elif isinstance(step, SiteStep | DifferenceStep):
                excluded.update(step_inputs(step))
            if isinstance(step, DifferenceStep):
                excluded.update(step_outputs(step))
        return {n: i for n, i in readers.items() if n in self.plan.varying and n not in excluded}

    def advance(self, index: int, step: SiteStep, state: State, signals: Signals) -> bool:
        """Carry a block through a site; False, and nothing done, where eager code must."""
        name, output = step.site.name, step.site.output
        kernel, before = self.kernels.get(name), state.values[output]
        if kernel is None or before.dtype != torch.float32:
            return False
        layout = self.layout(name, before.shape)
        charges = None if layout is None else self._charges(index, step, layout, state, signals)
        if layout is None or charges is None:
            return False
        part = self.parameters[name].firing(state.time, state.time + signals.steps)
        silent = part.start == part.stop
        if silent and all(c.changes is None or c.result is None for c in charges):
            return True
        estimates = self._own(output, layout, state, keep=output in self.plan.integrated)
        increments = self._room(index, step, charges, part, estimates, signals)
        time = state.time + part.start
        spikes = kernel(
            charges,
            estimates,
            layout.step_sizes[time:],
            layout.thresholds[time:],
            (part.start, part.stop),
            increments,
        )
        for operand, charge in zip(step.site.operands, charges, strict=True):
            if charge.result is not None:
                charge.settle()
                shape = state.values[operand].shape
                state.values[operand] = layout.shaped(charge.result, shape)
        if not silent:
            state.spikes[name] = state.spikes[name] + spikes
            change = layout.shaped(increments, before.shape, 1)
            signals.increments[output] = Span(part.start, change)
        return True

    def _room(
        self,
        index: int,
        step: SiteStep,
        charges: Sequence[Charge],
        part: slice,
        estimates: Tensor,
        signals: Signals,
    ) -> Tensor:
        """Memory for what the site sends: that of an operand's increments which nobody else reads.

        A kernel reads increments of a neuron and time step before it writes its own.
        """
        shape = torch.Size((part.stop - part.start, estimates.numel()))
        for name, charge in zip(step.site.operands, charges, strict=True):
            changes, start = charge.changes, charge.start
            if changes is None or charge.reading or charge.rows != 1 or start != part.start:
                continue
            last = name in self.plan.last_use[index] and signals.alone(name)
            if last and changes.numel() == shape.numel():
                return changes.view(shape)
        return estimates.new_empty(shape)

    def layout(self, name: str, shape: torch.Size) -> Layout | None:
        """How the neurons of a site lie in memory; None where eager code must run it."""
        key = (name, shape)
        if key not in self.layouts:
            for other in [k for k in self.layouts if k[0] == name]:
                del self.layouts[other]
            self.layouts[key] = layout_of(self.parameters[name], shape, self._rows.get(name, ()))
        return self.layouts[key]

    @cached_property
    def _rows(self) -> dict[str, tuple[int, ...]]:
        """By site whose neurons see their whole row, the axes of that."""
        targets = {step.site.name: step.site.target for step in self.plan.sites}
        return {name: t.rowwise.axes for name, t in targets.items() if t.rowwise is not None}

    def _own(self, name: str, layout: Layout, state: State, keep: bool) -> Tensor:
        """The flat estimates that the kernel may overwrite; a copy where the state keeps its own.

        A tensor that sites or outputs read directly is integrated by its readers.
        """
        if keep:
            return layout.flat(state.values[name]).clone()
        return layout.flat(self._owned(name, layout, state))

    def _owned(self, name: str, layout: Layout, state: State) -> Tensor:
        """The tensor `name` in storage of its own, in memory's order."""
        value = state.values[name]
        if name not in state.owned:
            state.owned.add(name)
            copy = value.new_empty(value.numel())
            value = layout.shaped(copy, value.shape).copy_(value)
            state.values[name] = value
        return value

    def _charges(
        self, index: int, step: SiteStep, layout: Layout, state: State, signals: Signals
    ) -> list[Charge] | None:
        charges = []
        for name in step.site.operands:
            charge = self._charge(index, step, name, layout, state, signals)
            if charge is None:
                return None
            charges.append(charge)
        return charges

    def _charge(
        self,
        index: int,
        step: SiteStep,
        name: str,
        layout: Layout,
        state: State,
        signals: Signals,
    ) -> Charge | None:
        """What the operand `name` brings along; None where eager code must look at it."""
        course, change = signals.courses.get(name), signals.increments.get(name)
        value = self.value(name, state) if course is None else course.before
        reading = None
        if step.site.target.sees_members:
            reading = layout.reading(step.site.target, value.shape, self.device)
            if reading is None:
                return None
        row = None
        if step.site.target.rowwise is not None:
            row = layout.row(step.site.target.rowwise.axes)
            if row is None or value.shape != layout.shape:
                return None
        if name not in self.plan.varying:
            shape = layout.shape if reading is None else value.shape
            return Charge(self._static(name, shape, layout, state), 1, reading=reading, row=row)
        rows = layout.rows(value.shape) if reading is None else 1
        if not rows or (change is None and course is not None and course.moving is not None):
            return None
        if change is None:
            return Charge(layout.flat(value), rows, reading=reading, row=row)
        result = None
        if course is None and self.last_reader.get(name) == index:
            if rows == 1:
                value = self._owned(name, layout, state)
                result = layout.flat(value)
            else:
                result = value.new_empty(value.numel())
        changes = layout.flat(change.values, 1)
        return Charge(layout.flat(value), rows, changes, change.start, result, reading, row)

    def value(self, name: str, state: State) -> Tensor:
        """A tensor of the state, or a constant."""
        value = state.values.get(name)
        return self.constants[name] if value is None else value

    def _static(self, name: str, shape: torch.Size, layout: Layout, state: State) -> Tensor:
        """An operand that does not change, spread over `shape` and kept for its other blocks."""
        key = (name, shape, layout.order)
        if key not in state.spread:
            state.spread[key] = layout.flat(self.value(name, state).expand(shape))
        return state.spread[key]
