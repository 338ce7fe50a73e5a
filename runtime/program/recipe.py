"""A plan as a program, for the shapes that a simulation has."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial

from torch import Tensor

from onnx2snn.ops.errors import Onnx2SnnError
from onnx2snn.runtime.execute import Executor
from onnx2snn.runtime.fused.kernel import SiteKernel
from onnx2snn.runtime.fused.sites import FusedSites
from onnx2snn.runtime.plan import ConstantStep, DifferenceStep, LinearStep, SiteStep
from onnx2snn.runtime.program.difference import has_instructions, multiplied
from onnx2snn.runtime.program.held import weighed
from onnx2snn.runtime.program.linear import emitted
from onnx2snn.runtime.program.moves import integrate
from onnx2snn.runtime.program.program import Library, Program, laid_out
from onnx2snn.runtime.program.signal import Signal, UnsupportedError
from onnx2snn.runtime.program.sites import SiteWriter
from onnx2snn.runtime.program.step import BoundStep
from onnx2snn.runtime.program.writer import Slots, Writer
from onnx2snn.runtime.state import State


def suits(executor: Executor) -> bool:
    """Whether programs may run this plan: compiled sites that fire at all times."""
    fused, plan = executor.fused, executor.plan
    if fused is None or executor.synapses is not None or executor.device.type != "cpu":
        return False
    steps = min((p.time_steps for p in executor.parameters.values()), default=0)
    always = all(p.firing(0, steps) == slice(0, steps) for p in executor.parameters.values())
    compiled = all(isinstance(fused.kernels.get(step.site.name), SiteKernel) for step in plan.sites)
    differing = [step for step in plan.steps if isinstance(step, DifferenceStep)]
    return bool(steps) and always and compiled and all(map(has_instructions, differing))


@dataclass
class Recipe:
    """What programs of one plan and its shapes share."""

    executor: Executor
    library: Library
    slots: Slots
    threads: int
    weights: dict[Hashable, Tensor] = field(default_factory=dict)

    @cached_property
    def _data(self) -> frozenset[str]:
        """Constants over time that differ from call to call."""
        plan = self.executor.plan
        steps = (s for s in plan.steps if isinstance(s, ConstantStep) and not s.shape_only)
        inputs = (info.name for info in plan.graph.inputs)
        return frozenset(inputs).union(*(step.node.outputs for step in steps))

    @cached_property
    def _multiplied(self) -> frozenset[str]:
        """Operands and results of products, whose instructions keep their values."""
        steps = (s for s in self.executor.plan.steps if isinstance(s, DifferenceStep))
        return frozenset(name for s in steps for name in (*s.node.inputs, *s.node.outputs))

    def program(self, state: State, steps: int) -> Program | None:
        """The program of a block of so many steps; None where it would need other instructions."""
        writer = self.writer(steps)
        try:
            self._write(writer, state)
        except (UnsupportedError, Onnx2SnnError):
            return None
        return laid_out(writer)

    def writer(self, steps: int) -> Writer:
        """The writer of a program of so many steps."""
        return Writer(steps, self.threads, self.library.kernels, self.slots, self.weights)

    def _write(self, writer: Writer, state: State) -> None:
        signals: dict[str, Signal] = {}
        fused = self.executor.fused
        assert isinstance(fused, FusedSites)
        sites = SiteWriter(fused, state.shapes, signals, partial(fused.value, state=state))
        number = 0
        for index, step in enumerate(self.executor.plan.steps):
            if isinstance(step, SiteStep):
                signals[step.site.output] = sites.write(writer, step, number)
                number += 1
            elif isinstance(step, LinearStep):
                results = self._linear(writer, index, step, state, signals)
                signals.update(zip(filter(None, step.node.outputs), results, strict=True))
            elif isinstance(step, DifferenceStep):
                (output,) = step.node.outputs
                signals[output] = multiplied(writer, step, signals, state.shapes)
            for name in self.executor.followed[index]:
                if name in self._multiplied:
                    continue
                integrate(writer, writer.slots.value(name, state.shapes[name]), signals[name])

    def _linear(
        self,
        writer: Writer,
        index: int,
        step: LinearStep,
        state: State,
        signals: Mapping[str, Signal],
    ) -> list[Signal]:
        node, binding = step.node, state.bindings[index]
        if not (binding.transparent or self._data.isdisjoint(node.inputs)):
            return [weighed(writer, node, binding, signals, state.values)]
        operands = [signals[name] for _, name in binding.signals]
        bound = BoundStep(index, node, binding, operands, state.shapes[node.outputs[0]])
        return emitted(writer, bound)
