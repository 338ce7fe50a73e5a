"""Spikes, synaptic operations and the energy estimate (METHOD section 5).

At 45 nm an accumulate costs 0.9 pJ and a multiply-accumulate 4.6 pJ (Horowitz, ISSCC 2014).
A spike costs one accumulate at every synapse it reaches: where the spikes of several sites come
together in front of a weighted operator (residual sums), it is charged the sum of their rates, in
proportion where each reaches some of the elements (Concat), and for a product of two signals that
of both.
What an operator sees of the input, alone or beside spikes, does not change over time and costs
multiply-accumulates once; behind an input encoded as an analog current it costs them at every
time step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from onnx2snn.runtime.plan import ConstantStep, DifferenceStep, Plan, SiteStep, step_inputs
from onnx2snn.runtime.state import State

ACCUMULATE_PJ = 0.9
MULTIPLY_ACCUMULATE_PJ = 4.6


Count = TypeVar("Count", float, Tensor)


def energy_ratio(sops: Count, input_macs: int, ann_macs: int) -> Count:
    """Energy of accumulates and multiply-accumulates over that of the ANN's."""
    snn = ACCUMULATE_PJ * sops + MULTIPLY_ACCUMULATE_PJ * input_macs
    return snn / max(MULTIPLY_ACCUMULATE_PJ * ann_macs, 1e-30)


@dataclass(frozen=True)
class Account:
    """Totals of one batch.

    spikes:     spikes of all sites so far.
    neurons:    neurons of all sites.
    sops:       synaptic operations (accumulates) so far.
    input_macs: multiply-accumulates of what operators see of the input, not of spikes.
    ann_macs:   multiply-accumulates of the ANN.
    """

    spikes: int
    neurons: int
    sops: float
    input_macs: int
    ann_macs: int

    def __add__(self, other: Account) -> Account:
        return Account(
            self.spikes + other.spikes,
            self.neurons + other.neurons,
            self.sops + other.sops,
            self.input_macs + other.input_macs,
            self.ann_macs + other.ann_macs,
        )

    def spike_rate(self, time_steps: int) -> float:
        """Spikes per neuron and time step."""
        return self.spikes / max(self.neurons * time_steps, 1)

    @property
    def energy_ratio(self) -> float:
        """Energy of the SNN over that of the ANN."""
        return energy_ratio(self.sops, self.input_macs, self.ann_macs)


def account(plan: Plan, state: State) -> Account:
    """The account of a simulation in its present state."""
    analog = _analog(plan)
    spikes = {name: int(n) for name, n in state.spikes.items() if name not in analog}
    reached = synapses(plan, state)
    return Account(
        spikes=sum(spikes.values()),
        neurons=sum(n for name, n in state.neurons.items() if name not in analog),
        sops=sum(fired * reached[name] for name, fired in spikes.items()),
        input_macs=input_macs(plan, state),
        ann_macs=sum(state.macs.values()),
    )


def input_macs(plan: Plan, state: State) -> int:
    """Multiply-accumulates of what operators see of the input, directly or beside spikes."""
    times = {INPUT: 1, **dict.fromkeys(_analog(plan), state.time)}
    return round(
        sum(
            macs * share * times.get(name, 0)
            for macs, stream in _weighted(plan, state)
            for name, share in stream.items()
        )
    )


def synapses(plan: Plan, state: State) -> dict[str, float]:
    """Synapses that a spike of each site reaches, mean over its neurons."""
    found = dict.fromkeys(state.neurons, 0.0)
    for macs, stream in _weighted(plan, state):
        for name in stream.keys() & found.keys():
            found[name] += macs * stream[name] / max(state.neurons[name], 1)
    return found


def _analog(plan: Plan) -> set[str]:
    return {step.site.name for step in plan.sites if step.neuron == "current"}


# Of the input and of every site whose spikes reach a tensor, the share of the elements they reach.
Shares = Mapping[str, float]
INPUT = ""


def _weighted(plan: Plan, state: State) -> Iterator[tuple[int, Shares]]:
    """Multiply-accumulates of every weighted operator, with what reaches its operands."""
    reached = _reached(plan, state)
    for index, macs in state.macs.items():
        step = plan.steps[index]
        operands = [reached[name] for name in step_inputs(step) if reached.get(name)]
        both = isinstance(step, DifferenceStep)
        yield from ((macs, stream) for stream in (operands if both else [_together(operands)]))


def _reached(plan: Plan, state: State) -> dict[str, Shares]:
    """What reaches each tensor without passing through another site: the input, and sites."""
    reached: dict[str, Shares] = {info.name: {INPUT: 1.0} for info in plan.graph.inputs}
    for step in plan.steps:
        if isinstance(step, SiteStep):
            reached[step.site.output] = {step.site.name: 1.0}
            continue
        if isinstance(step, ConstantStep) and step.shape_only:
            continue
        names = [name for name in step_inputs(step) if reached.get(name)]
        shares = [reached[name] for name in names]
        if step.node.op_type == "Concat":
            whole = max(state.shapes[step.node.outputs[0]].numel(), 1)
            parts = [state.shapes[name].numel() / whole for name in names]
            joined = _beside(shares, parts)
        else:
            joined = _together(shares)
        reached.update(dict.fromkeys(step.node.outputs, joined))
    return reached


def _together(shares: Sequence[Shares]) -> Shares:
    """Of a sum: a site that comes in several ways has one synapse for all of them."""
    joined: dict[str, float] = {}
    for operand in shares:
        for name, share in operand.items():
            joined[name] = max(share, joined.get(name, 0.0))
    return joined


def _beside(shares: Sequence[Shares], parts: Sequence[float]) -> Shares:
    """Of tensors side by side, each `parts` of the whole."""
    joined: dict[str, float] = {}
    for operand, part in zip(shares, parts, strict=True):
        for name, share in operand.items():
            joined[name] = joined.get(name, 0.0) + part * share
    return joined
