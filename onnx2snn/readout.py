"""Readouts: what is computed from decoded outputs and reaches no neuron any more.

The class with the largest logit, the best k, a comparison with a threshold: such a node has a
discrete result, so no signal follows it. Whether it and what reads it is a readout depends on
its readers alone: an ArgMax in the middle of a network is none.
"""

from __future__ import annotations

from collections.abc import Iterable

from onnx2snn.runtime.plan import (
    ConstantStep,
    DifferenceStep,
    LinearStep,
    Plan,
    SiteStep,
    Step,
    step_inputs,
    step_outputs,
)


def readouts(plan: Plan) -> frozenset[int]:
    """Identities of the nodes of a plan that are readouts."""
    final = _final(plan.steps)
    discrete: set[str] = set()
    found = set()
    for step in plan.steps:
        if isinstance(step, SiteStep | ConstantStep):
            continue
        follows = not discrete.isdisjoint(step_inputs(step))
        if (follows or _is_discrete(step, plan)) and final.issuperset(step_outputs(step)):
            found.add(id(step.node))
            discrete.update(step_outputs(step))
    return frozenset(found)


def _is_discrete(step: LinearStep | DifferenceStep, plan: Plan) -> bool:
    return any(plan.graph.is_discrete(name) for name in step_outputs(step))


def _final(steps: Iterable[Step]) -> frozenset[str]:
    """Tensors from which no site is reached."""
    heard: set[str] = set()
    written: set[str] = set()
    for step in reversed(tuple(steps)):
        written.update(step_outputs(step))
        if isinstance(step, SiteStep) or not heard.isdisjoint(step_outputs(step)):
            heard.update(step_inputs(step))
    return frozenset(written - heard)
