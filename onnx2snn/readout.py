"""Readouts: what is computed from decoded outputs and reaches no signal any more.

The class with the largest logit, the best k, a comparison with a threshold: such a node has a
discrete result, so no signal follows it. Whether it and what reads it is a readout depends on
its readers too: an ArgMax in the middle of a network is none.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from onnx2snn.runtime.plan import (
    LOOKUPS,
    ConstantStep,
    Plan,
    SiteStep,
    Step,
    step_inputs,
    step_outputs,
)

_SORTED = ("TopK", "Unique")
"""Operators whose real results are as little a signal as their places."""


def readouts(plan: Plan) -> frozenset[int]:
    """Identities of the nodes of a plan that are readouts."""
    steps = [step for step in plan.steps if not isinstance(step, ConstantStep)]
    candidates: Sequence[Step] = steps
    while True:
        found = _unheard(_following(candidates, plan), steps)
        if len(found) == len(candidates):
            return frozenset(id(step.node) for step in found if not isinstance(step, SiteStep))
        candidates = found


def _following(candidates: Sequence[Step], plan: Plan) -> list[Step]:
    """Nodes with a discrete result, and those that read nothing that changes but such results.

    Lookups may read signals: it is decoded values that they pick.
    """
    read: set[str] = set()
    found: list[Step] = []
    for step in candidates:
        if isinstance(step, SiteStep):
            continue
        varying = plan.varying.intersection(step_inputs(step))
        named = step_outputs(step)
        discrete = step.node.op_type in _SORTED or all(map(plan.graph.is_discrete, named))
        picked = step.node.op_type in LOOKUPS and bool(varying & read)
        if discrete or picked or varying <= read:
            found.append(step)
            read.update(step_outputs(step))
    return found


def _unheard(candidates: Sequence[Step], steps: Sequence[Step]) -> list[Step]:
    """The candidates that only candidates and outputs of the graph read."""
    chosen: Collection[int] = {id(step) for step in candidates}
    heard: set[str] = set()
    kept = []
    for step in reversed(steps):
        if id(step) in chosen and heard.isdisjoint(step_outputs(step)):
            kept.append(step)
        else:
            heard.update(step_inputs(step))
    return kept[::-1]
