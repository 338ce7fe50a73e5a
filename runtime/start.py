"""The initial pass at t = 0, of which what does not depend on the data is kept between calls.

v(0) comes from the file. So whatever is computed from sites and constants alone is the same at
t = 0 for all inputs of the same shapes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from onnx2snn.runtime.binding import Binding
from onnx2snn.runtime.execute import Executor
from onnx2snn.runtime.nodes import Operands
from onnx2snn.runtime.parameters import check_fit
from onnx2snn.runtime.plan import (
    ConstantStep,
    LinearStep,
    Plan,
    SiteStep,
    step_inputs,
    step_outputs,
)
from onnx2snn.runtime.state import State

# Most bytes of tensors at t = 0 that outlive a call; of more, only shapes are kept.
KEPT = {"cpu": 16 << 20, "cuda": 1 << 30}


@dataclass(frozen=True)
class Opening:
    """The part of a state at t = 0 that all inputs of the same shapes share.

    steps:    those that need not run again.
    values:   their results, and the estimates of sites, that the state or other steps read.
    operands: shapes of what sites read.
    spikes, neurons: of all sites, in the order of the plan.
    The other fields are those of `State`.
    """

    steps: frozenset[int]
    values: Mapping[str, Tensor]
    operands: Mapping[int, list[torch.Size]]
    shapes: Mapping[str, torch.Size]
    bindings: Mapping[int, Binding]
    macs: Mapping[int, int]
    spikes: Mapping[str, Tensor]
    neurons: Mapping[str, int]


def begin(
    executor: Executor, inputs: Mapping[str, Tensor], known: Opening | None
) -> tuple[State, Opening]:
    """The state at t = 0; `known` is the opening of an earlier call with inputs of these shapes."""
    state = None if known is None else _resumed(executor, inputs, known)
    return _begun(executor, inputs) if state is None or known is None else (state, known)


def steady_steps(plan: Plan) -> frozenset[int]:
    """Steps whose results at t = 0 are the same for all inputs of the same shapes."""
    moving, steady = {info.name for info in plan.graph.inputs}, set(_shape_steps(plan))
    for index, step in enumerate(plan.steps):
        if index in steady:
            continue
        if moving.isdisjoint(step_inputs(step)):
            steady.add(index)
        elif not isinstance(step, SiteStep):
            moving.update(step_outputs(step))
    return frozenset(steady)


def _shape_steps(plan: Plan) -> frozenset[int]:
    constant = ((i, s) for i, s in enumerate(plan.steps) if isinstance(s, ConstantStep))
    return frozenset(i for i, step in constant if step.shape_only)


def _begun(executor: Executor, inputs: Mapping[str, Tensor]) -> tuple[State, Opening]:
    """The whole initial pass."""
    plan, state = executor.plan, State.of(inputs)
    steps, fixed = steady_steps(plan), _shape_steps(plan)
    read = plan.kept.union(*(step_inputs(s) for i, s in enumerate(plan.steps) if i not in steps))
    constant, steady = dict[str, Tensor](), dict[str, Tensor]()
    operands = dict[int, list[torch.Size]]()
    for index, step in enumerate(plan.steps):
        if isinstance(step, SiteStep):
            operands[index] = _shapes(executor.operands(step, state))
        executor.initialise(index, state)
        if isinstance(step, SiteStep):
            name = step.site.name
            check_fit(name, executor.parameters[name], state.values[step.site.output])
        known = {n: state.values[n] for n in step_outputs(step) if n in state.values}
        if index in fixed:
            constant.update(known)
        elif index in steps or isinstance(step, SiteStep):
            steady.update({n: value for n, value in known.items() if n in read})
        if _bytes(steady.values()) > KEPT.get(executor.device.type, 0):
            steps, steady = fixed, {}
    return state, Opening(
        steps=steps,
        values={**constant, **steady},
        operands=operands,
        shapes=dict(state.shapes),
        bindings=dict(state.bindings),
        macs=dict(state.macs),
        spikes=dict(state.spikes),
        neurons=dict(state.neurons),
    )


def _resumed(executor: Executor, inputs: Mapping[str, Tensor], known: Opening) -> State | None:
    """The state from the opening and the steps that see the data; None if shapes differ now."""
    state = State(
        values={**known.values, **inputs},
        bindings=dict(known.bindings),
        macs=dict(known.macs),
        spikes=dict(known.spikes),
        neurons=dict(known.neurons),
        shapes=dict(known.shapes),
    )
    for index, step in enumerate(executor.plan.steps):
        if index in known.steps:
            continue
        operands = executor.operands(step, state)
        if isinstance(step, SiteStep) and _shapes(operands) != known.operands[index]:
            return None
        if isinstance(step, SiteStep) and step.site.output in known.values:
            executor.release(index, state)
        elif isinstance(step, LinearStep) and known.bindings[index].fits(operands):
            executor.repeat(index, step, operands, state)
        else:
            executor.initialise(index, state)
    return state


def _shapes(operands: Operands) -> list[torch.Size]:
    return [x.shape for x in operands if x is not None]


def _bytes(tensors: Iterable[Tensor]) -> int:
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())
