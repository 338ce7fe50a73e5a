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
from onnx2snn.runtime.parameters import check_fit
from onnx2snn.runtime.plan import ConstantStep, Plan, SiteStep, step_inputs, step_outputs
from onnx2snn.runtime.state import State

# Most bytes of tensors at t = 0 that outlive a call; of more, only shapes are kept.
KEPT = 16 << 20


@dataclass(frozen=True)
class Opening:
    """The part of a state at t = 0 that all inputs of the same shapes share.

    steps:  those that need not run again.
    values: their results that the state or other steps read.
    shapes: of all tensors that vary over time.
    spikes, neurons: of all sites, in the order of the plan.
    The other fields are those of `State`, for these steps.
    """

    steps: frozenset[int]
    values: Mapping[str, Tensor]
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
    plan, state = executor.plan, State(values=dict(inputs))
    steps, fixed = steady_steps(plan), _shape_steps(plan)
    read = plan.kept.union(*(step_inputs(s) for i, s in enumerate(plan.steps) if i not in steps))
    constant, steady = dict[str, Tensor](), dict[str, Tensor]()
    for index, step in enumerate(plan.steps):
        executor.initialise(index, state)
        if isinstance(step, SiteStep):
            name = step.site.name
            check_fit(name, executor.parameters[name], state.values[step.site.output])
        known = {n: state.values[n] for n in step_outputs(step) if n in state.values}
        if index in fixed:
            constant.update(known)
        elif index in steps:
            steady.update({n: value for n, value in known.items() if n in read})
        if _bytes(steady.values()) > KEPT:
            steps, steady = fixed, {}
    return state, Opening(
        steps=steps,
        values={**constant, **steady},
        shapes=dict(state.shapes),
        bindings={i: b for i, b in state.bindings.items() if i in steps},
        macs={i: macs for i, macs in state.macs.items() if i in steps},
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
        executor.initialise(index, state)
        if isinstance(step, SiteStep):
            output = step.site.output
            if state.shapes[output] != known.shapes[output]:
                return None
    return state


def _bytes(tensors: Iterable[Tensor]) -> int:
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())
