"""One neuron over time: its input, its membrane, its estimate, its spikes, its target."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from onnx2snn.ops.errors import UsageError
from onnx2snn.ops.neurons import shares_kept
from onnx2snn.runtime import SpikingSession
from onnx2snn.runtime.plan import SiteStep
from onnx2snn.runtime.state import State

Feed = Mapping[str, NDArray[Any]]
MOST_NAMED = 20


@dataclass(frozen=True)
class Moment:
    """A neuron at time step t.

    inputs:   x_1(t), .., x_k(t).
    target:   f(x(t)).
    membrane: of integrate-and-fire neurons, before the reset, in units of the threshold.
    spike:    s(t), with its sign for ternary neurons.
    estimate: v(t).
    """

    time_step: int
    inputs: tuple[float, ...]
    target: float
    membrane: float | None
    spike: int
    estimate: float


@dataclass(frozen=True)
class Trace:
    """A neuron's moments t = 1 .. T; `initial` is v(0), `place` its index in one sample."""

    site: str
    target: str
    place: tuple[int, ...]
    initial: float
    moments: tuple[Moment, ...]

    @property
    def header(self) -> list[str]:
        """Names of the columns."""
        inputs = [f"input_{i + 1}" for i in range(len(self.moments[0].inputs))]
        membrane = ["membrane"] if self.moments[0].membrane is not None else []
        return ["time_step", *inputs, "target", *membrane, "spike", "estimate"]

    def rows(self) -> list[list[float]]:
        """One row of numbers per time step."""
        return [
            [
                *(m.time_step, *m.inputs, m.target),
                *([m.membrane] if m.membrane is not None else []),
                *(m.spike, m.estimate),
            ]
            for m in self.moments
        ]

    def to_csv(self) -> str:
        """Header and rows as comma-separated values."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.header)
        writer.writerows(self.rows())
        return text.getvalue()


def trace(
    session: SpikingSession,
    feed: Feed,
    site: str,
    neuron: Sequence[int],
    *,
    sample: int = 0,
    time_steps: int | None = None,
) -> Trace:
    """Follow one neuron of `session` while it runs on one sample of `feed`.

    site:   name of its population, as `onnx2snn evaluate --layers` shows them.
    neuron: its index among the neurons of one sample, or one index per axis.

    Raises UsageError for a site, sample or neuron that there is not.
    """
    step = _found(session, site)
    observer = _Observer(session, step, sample, tuple(neuron))
    steps = range(1, (time_steps or session.time_steps) + 1)
    session.simulate(feed, steps, probe=observer.note)
    initial = float(session.parameters[site].initial.expand(observer.shape)[observer.place])
    place = observer.place if len(observer.shape) == 1 else observer.place[1:]
    return Trace(site, step.site.target.name, place, initial, tuple(observer.moments))


def _found(session: SpikingSession, site: str) -> SiteStep:
    sites = {step.site.name: step for step in session.plan.sites}
    if site not in sites:
        names = ", ".join(f"'{name}'" for name in list(sites)[:MOST_NAMED])
        more = f" and {len(sites) - MOST_NAMED} more" if len(sites) > MOST_NAMED else ""
        raise UsageError(f"there is no site '{site}'; the sites are {names}{more}")
    return sites[site]


class _Observer:
    """Notes one neuron after every time step."""

    def __init__(
        self, session: SpikingSession, step: SiteStep, sample: int, neuron: tuple[int, ...]
    ) -> None:
        self.session, self.step = session, step
        self.parameters = session.parameters[step.site.name]
        self.sample, self.neuron = sample, neuron
        self.shape: tuple[int, ...] = ()
        self.place: tuple[int, ...] = ()
        self.moments: list[Moment] = []
        self.before = 0.0

    def note(self, state: State) -> None:
        estimate = state.values[self.step.site.output]
        if not self.moments:
            self.shape = tuple(estimate.shape)
            self.place = _place(self.shape, self.sample, self.neuron)
            self.before = self._at(self.parameters.initial)
        values = [self.session.value(name, state) for name in self.step.site.operands]
        inputs = tuple(self._at(value) for value in self.step.site.target.members(*values))
        after = self._at(estimate)
        self.moments.append(
            Moment(
                state.time,
                inputs,
                self._at(self.step.site.target(*values)),
                self._membrane(state.time - 1, inputs),
                self._spike(state.time - 1, after),
                after,
            )
        )
        self.before = after

    def _at(self, tensor: Tensor) -> float:
        return float(tensor.expand(self.shape)[self.place])

    def _course(self, over_time: Tensor, index: int) -> float:
        return self._at(over_time[index])

    def _spike(self, index: int, after: float) -> int:
        """From the change of the estimate, which only spikes and, in a mean, time bring about."""
        eta, rates = self.parameters.step_sizes, self.parameters.rates
        size = self._course(eta, index)
        if self.step.neuron == "current" or size == 0:
            return 0
        if self.step.neuron in ("integrate", "poisson"):
            assert rates is not None
            kept = (1 - self._course(rates, index)) * self.before
            return round((after - kept) / size)
        sigma = round((self.before - after) / size)
        return sigma if self.step.alphabet == "ternary" else int(sigma > 0)

    def _membrane(self, index: int, inputs: tuple[float, ...]) -> float | None:
        """1 + (1 - e) (x - kept v - theta) / (eta Theta); see `ops.neurons.scan_integrating`."""
        rates = self.parameters.rates
        if self.step.neuron != "integrate" or rates is None:
            return None
        e = 2 - 1 / self._course(rates, 1) if len(rates) > 1 else 0.0
        kept = self._course(shares_kept(rates), index)
        excess = inputs[0] - kept * self.before - self._course(self.parameters.thresholds, index)
        return 1 + (1 - e) * excess / self._course(self.parameters.step_sizes, index)


def _place(shape: tuple[int, ...], sample: int, neuron: tuple[int, ...]) -> tuple[int, ...]:
    """Index of a neuron in the site's tensor, whose first axis, if it has several, is samples'."""
    own = shape[1:] if len(shape) > 1 else shape
    if len(shape) > 1 and not 0 <= sample < shape[0]:
        raise UsageError(f"there is no sample {sample} among {shape[0]}")
    if len(neuron) == 1 and 0 <= neuron[0] < int(np.prod(own)):
        index = tuple(int(i) for i in np.unravel_index(neuron[0], own))
    elif len(neuron) == len(own) and all(0 <= i < n for i, n in zip(neuron, own, strict=True)):
        index = neuron
    else:
        raise UsageError(
            f"there is no neuron {','.join(map(str, neuron))}; one sample has neurons of shape "
            f"{list(own)}"
        )
    return (sample, *index) if len(shape) > 1 else index


def one_sample(feed: Feed, sample: int) -> dict[str, NDArray[Any]]:
    """The sample alone. Raises UsageError where there is none of this number."""
    sizes = [len(array) for array in feed.values() if array.ndim]
    if sizes and not 0 <= sample < min(sizes):
        raise UsageError(f"there is no sample {sample} among {min(sizes)}")
    return {name: a[sample : sample + 1] if a.ndim else a for name, a in feed.items()}
