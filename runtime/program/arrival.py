"""How data enters the memory of a simulation at t = 0.

v(0) comes from the file, so whatever data change at t = 0 they change through affine nodes alone.
The memory is first that of a simulation whose data are zeros, the same for all calls; what the
data add then travels through those nodes as increments do, in a program of one step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from onnx2snn.runtime.binding import Binding, bound_step
from onnx2snn.runtime.execute import Executor
from onnx2snn.runtime.plan import (
    ConstantStep,
    LinearStep,
    Plan,
    SiteStep,
    step_inputs,
    step_outputs,
)
from onnx2snn.runtime.program.linear import emitted, is_known
from onnx2snn.runtime.program.moves import brought, integrate
from onnx2snn.runtime.program.program import Program, laid_out
from onnx2snn.runtime.program.recipe import Recipe
from onnx2snn.runtime.program.signal import UnsupportedError
from onnx2snn.runtime.program.step import BoundStep
from onnx2snn.runtime.program.writer import Gate
from onnx2snn.runtime.state import State


@dataclass(frozen=True)
class Route:
    """The steps that data pass at t = 0.

    direct: before all sites, evaluated as they are.
    carry:  the others, affine in what carries data.
    gates:  tensors, given or made by direct steps, that those or sites read.
    """

    direct: Mapping[int, ConstantStep]
    carry: Mapping[int, LinearStep]
    gates: frozenset[str]


def route(plan: Plan) -> Route:
    """The route of data through a plan; UnsupportedError where a node is not affine in them."""
    direct = _direct(plan)
    given = {info.name for info in plan.graph.inputs}.union(*map(step_outputs, direct.values()))
    carried, read, carry = set(given), set[str](), dict[int, LinearStep]()
    for index, step in enumerate(plan.steps):
        if index in direct or (isinstance(step, ConstantStep) and step.shape_only):
            continue
        read.update(step_inputs(step))
        if isinstance(step, SiteStep):
            continue
        positions = frozenset(i for i, name in enumerate(step.node.inputs) if name in carried)
        if positions:
            if step.operator is None or not step.operator.is_linear_in(positions):
                raise UnsupportedError(f"data that a {step.node.op_type} is not affine in")
            carry[index] = LinearStep(step.node, step.operator, positions)
            carried.update(step_outputs(step))
    return Route(direct, carry, frozenset(given & read))


def _direct(plan: Plan) -> dict[int, ConstantStep]:
    """Steps no instruction stands for, and those that make what these or the user read."""
    found = dict[int, ConstantStep]()
    wanted = {info.name for info in plan.graph.outputs}
    for index, step in reversed(list(enumerate(plan.steps))):
        if not isinstance(step, ConstantStep) or step.shape_only:
            continue
        known = step.role == "linear" and is_known(step.node)
        if not known or not wanted.isdisjoint(step.node.outputs):
            found[index] = step
            wanted.update(step_inputs(step))
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class Reference:
    """A simulation at t = 0 whose data are zeros, and what was met on the way.

    bindings: of the steps that carry data.
    results:  shapes of their results, by step.
    data:     inputs, and results of direct steps, as they really are.
    besides:  what direct steps read besides data.
    """

    state: State
    bindings: Mapping[int, Binding]
    results: Mapping[int, torch.Size]
    data: Mapping[str, Tensor]
    besides: Mapping[str, Tensor]


def reference(executor: Executor, path: Route, inputs: Mapping[str, Tensor]) -> Reference:
    """The initial pass for zeros in place of these inputs."""
    data, besides = dict(inputs), dict[str, Tensor]()
    bindings, results = dict[int, Binding](), dict[int, torch.Size]()
    state = State.of(_closed(path, inputs))
    for index, step in enumerate(executor.plan.steps):
        if index in path.direct:
            mixed = replace(state, values={**state.values, **data})
            read = state.values.keys() & set(step_inputs(step)) - data.keys()
            besides.update({name: state.values[name] for name in read})
            executor.initialise(index, mixed)
            made = {n: mixed.values[n] for n in step_outputs(step) if n in mixed.values}
            data.update(made)
            state.values.update(_closed(path, made))
            executor.release(index, state)
            continue
        operands = executor.operands(step, state)
        found = executor.initialise(index, state)
        if index in path.carry:
            bindings[index] = bound_step(path.carry[index], operands, found, None)
            results[index] = found[0].shape
    return Reference(state, bindings, results, data, besides)


def _closed(path: Route, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n: torch.zeros_like(x) if n in path.gates else x for n, x in values.items()}


def evaluated(
    executor: Executor, path: Route, inputs: Mapping[str, Tensor], besides: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The inputs and the results of direct steps."""
    values = dict(inputs)
    for step in path.direct.values():
        known = {**executor.constants, **besides, **values}
        operands = [known[name] if name else None for name in step.node.inputs]
        values.update(executor.evaluated(step, operands))
    return values


@dataclass(frozen=True)
class Arrival:
    """The program that adds data to the memory of a simulation.

    gates: names and shapes of the tensors that it reads.
    """

    gates: Mapping[str, torch.Size]
    program: Program

    def read(self, data: Mapping[str, Tensor]) -> list[Tensor] | None:
        """What the program reads, as it does; None where shapes differ."""
        read = [data[name] for name in self.gates]
        if any(x.shape != shape for x, shape in zip(read, self.gates.values(), strict=True)):
            return None
        return [_plain(x) for x in read]


def _plain(x: Tensor) -> Tensor:
    known = x.dtype == torch.float32 and x.is_contiguous()
    return x if known else x.to(torch.float32).contiguous()


def arrival(recipe: Recipe, path: Route, known: Reference) -> Arrival:
    """The arrival for the shapes of a reference, whose slots other programs have named already."""
    writer, plan = recipe.writer(1), recipe.executor.plan
    used = list(recipe.slots.found.values())
    gates = {name: known.data[name].shape for name in sorted(path.gates)}
    signals = {n: brought(writer, Gate(i), gates[n]) for i, n in enumerate(gates)}
    for index, step in path.carry.items():
        binding, names = known.bindings[index], step_outputs(step)
        operands = [signals[operand] for _, operand in binding.signals]
        bound = BoundStep(index, step.node, binding, operands, known.results[index])
        signals.update(zip(names, emitted(writer, bound), strict=True))
        shown = plan.kept.intersection(names) - plan.varying
        used += [recipe.slots.value(name, known.state.shapes[name]) for name in sorted(shown)]
    for slot in used:
        if slot.name in signals:
            integrate(writer, slot, signals[slot.name])
    return Arrival(gates, laid_out(writer))
