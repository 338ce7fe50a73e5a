"""Spikes, synaptic operations and the energy estimate (METHOD section 5).

At 45 nm an accumulate costs 0.9 pJ and a multiply-accumulate 4.6 pJ (Horowitz, ISSCC 2014).
A spike costs one accumulate at every synapse it reaches. Where several sites merge before a
weighted operator (residual sums), the operator is charged the mean of their firing rates.
Operators that see only the input, which does not change over time, cost their
multiply-accumulates once; behind an input encoded as an analog current they cost them at every
time step.
"""

from __future__ import annotations

from dataclasses import dataclass

from onnx2snn.runtime.plan import ConstantStep, Plan, SiteStep
from onnx2snn.runtime.state import State

ACCUMULATE_PJ = 0.9
MULTIPLY_ACCUMULATE_PJ = 4.6


@dataclass(frozen=True)
class Account:
    """Totals of one batch.

    spikes:     spikes of all sites so far.
    neurons:    neurons of all sites.
    sops:       synaptic operations (accumulates) so far.
    input_macs: multiply-accumulates of operators that see only the input.
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
        snn = ACCUMULATE_PJ * self.sops + MULTIPLY_ACCUMULATE_PJ * self.input_macs
        return snn / max(MULTIPLY_ACCUMULATE_PJ * self.ann_macs, 1e-30)


def account(plan: Plan, state: State) -> Account:
    """The account of a simulation in its present state."""
    analog = {step.site.name for step in plan.sites if step.neuron == "current"}
    spikes = {name: int(n) for name, n in state.spikes.items() if name not in analog}
    reaching = dict[frozenset[str], tuple[int, int]]()
    sops, input_macs = 0.0, 0
    for index, macs in state.macs.items():
        step = plan.steps[index]
        if isinstance(step, SiteStep):
            continue
        if isinstance(step, ConstantStep):
            input_macs += macs
            continue
        if step.upstream & analog:
            input_macs += macs * state.time
            continue
        if step.upstream not in reaching:
            fired = sum(spikes[name] for name in step.upstream)
            reaching[step.upstream] = fired, sum(state.neurons[name] for name in step.upstream)
        fired, population = reaching[step.upstream]
        sops += macs * fired / max(population, 1)
    return Account(
        spikes=sum(spikes.values()),
        neurons=sum(n for name, n in state.neurons.items() if name not in analog),
        sops=sops,
        input_macs=input_macs,
        ann_macs=sum(state.macs.values()),
    )
