"""Each site of a spiking network against what the ANN computes there, over time steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from onnx2snn.calibration.ann import AnnTargets, SiteValue, open_onnxruntime, with_outputs
from onnx2snn.calibration.values import single
from onnx2snn.ops import BY_OP_TYPE
from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.inputs import typed_feed
from onnx2snn.runtime.plan import Plan, SiteStep
from onnx2snn.runtime.session import Point, SpikingSession
from onnx2snn.runtime.state import Parameters, State

Feed = Mapping[str, NDArray[Any]]

ROUNDING = 1e-5


@dataclass(frozen=True)
class LayerPoint:
    """One site after `time_steps` steps, with its estimate v(t) and the ANN's value f*.

    relative_error: ||v(t) - f*|| / ||y*|| over samples and neurons, where y* is f* and what
                    passes by the neurons; None where it has no value, since y* is zero throughout
                    or not finite.
    saturation:     percent of neurons that could not have arrived yet, whatever they fired:
                    |f* - v(0)| > eta(1) + .. + eta(t), by more than the rounding of f*.
    spike_rate:     spikes per neuron and time step.
    """

    time_steps: int
    relative_error: float | None
    saturation: float
    spike_rate: float


@dataclass(frozen=True)
class Layer:
    """One site over time steps.

    op_type: the ONNX operator that it stands for, alone or with other sites.
    neurons: of one sample.
    """

    site: str
    op_type: str
    neurons: int
    points: tuple[LayerPoint, ...]

    def to_json(self) -> dict[str, Any]:
        """The form of `evaluate --layers --json`."""
        return {**vars(self), "points": [dict(vars(point)) for point in self.points]}


@dataclass(frozen=True)
class Sums:
    """Totals of one site at one time step.

    error, norm: ||v(t) - f*||^2 and ||y*||^2.
    saturated:   neurons whose f* lies beyond reach.
    """

    error: float = 0.0
    norm: float = 0.0
    saturated: int = 0
    spikes: int = 0
    neurons: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.error + other.error,
            self.norm + other.norm,
            self.saturated + other.saturated,
            self.spikes + other.spikes,
            self.neurons + other.neurons,
        )

    def at(self, time_steps: int) -> LayerPoint:
        """The figures after `time_steps` steps."""
        neurons = max(self.neurons, 1)
        return LayerPoint(
            time_steps=time_steps,
            relative_error=relative_error(self.error, self.norm),
            saturation=100.0 * self.saturated / neurons,
            spike_rate=self.spikes / (neurons * time_steps),
        )


def relative_error(error: float, norm: float) -> float | None:
    """sqrt(error / norm) of two sums of squares; None where it is not a finite number."""
    if error == 0.0:
        return 0.0
    ratio = error / norm if norm > 0.0 else math.inf
    return math.sqrt(ratio) if math.isfinite(ratio) else None


def measured(value: SiteValue, parameters: Parameters, step: SiteStep, state: State) -> Sums:
    """The sums of one site on one batch, `value` in the site's shape."""
    estimate = state.values[step.site.output]
    target = value.target.to(estimate.device)
    reach = _reach(parameters, step.neuron, state.time)
    distance = (target - parameters.initial).abs() - ROUNDING * target.abs()
    return Sums(
        error=float((estimate - target).double().square().sum()),
        norm=float(value.whole.double().square().sum()),
        saturated=int((distance > reach).sum()),
        spikes=int(state.spikes[step.site.name]),
        neurons=target.numel(),
    )


def _reach(parameters: Parameters, neuron: str, time: int) -> Tensor:
    """How far from its start an estimate can get: the sum of its steps; as a mean, one spike."""
    steps = parameters.step_sizes
    if neuron == "current":
        return torch.full_like(steps[0], torch.inf)
    if neuron in ("integrate", "poisson"):
        return steps[0].double()
    return steps[:time].sum(0, dtype=torch.float64)


def operand_names(plan: Plan) -> list[str]:
    """Tensors that the spiking nodes of a plan read, parameters of sites excluded."""
    operands = (
        step.source.inputs[: len(BY_OP_TYPE[step.source.op_type].operands)] for step in plan.sites
    )
    return list(dict.fromkeys(name for names in operands for name in names if name))


class LimitOperands:
    """What the spiking nodes read when onnxruntime runs the spiking file as the ANN it stands for.

    Raises ModelError where onnxruntime cannot open or run the file.
    """

    def __init__(self, plan: Plan, model: onnx.ModelProto) -> None:
        names = operand_names(plan)
        self._inputs = {info.name for info in plan.graph.inputs}
        self._constants = {
            name: single(torch.from_numpy(np.array(plan.constants[name])))
            for name in names
            if name in plan.constants
        }
        self._read = [name for name in names if name in self._inputs]
        known = self._inputs.union(self._constants)
        self._computed = [name for name in names if name not in known]
        self._session = open_onnxruntime(with_outputs(model, self._computed))

    def __call__(self, feed: Feed) -> dict[str, Tensor]:
        """The operands by name, floating ones in single precision; `feed` in the model's types."""
        try:
            results = self._session.run(self._computed, dict(feed)) if self._computed else []
        except Exception as error:  # onnxruntime's errors share no base class of their own
            reason = str(error).strip().splitlines()[0]
            raise ModelError(f"onnxruntime cannot run the spiking file: {reason}") from error
        arrays = dict(zip(self._computed, results, strict=True))
        arrays.update({name: feed[name] for name in self._read})
        signals = {name: single(torch.from_numpy(np.array(a))) for name, a in arrays.items()}
        return {**self._constants, **signals}


class LayerTally:
    """Running totals of every site of a session, held against the limit in its own file.

    model: the spiking file that the session runs.
    """

    def __init__(self, session: SpikingSession, model: onnx.ModelProto) -> None:
        self._session = session
        self._operands = LimitOperands(session.plan, model)
        self._sums: dict[str, dict[int, Sums]] = {s.site.name: {} for s in session.plan.sites}

    def simulate(self, batch: Feed, at: Iterable[int]) -> list[Point]:
        """As `SpikingSession.simulate`, with the sites added to the totals on the way."""
        values = self._operands(typed_feed(self._session.get_inputs(), batch))
        return self._session.simulate(batch, at, probe=self._probe(values))

    def _probe(self, values: Mapping[str, Tensor]) -> Callable[[State], None]:
        parameters = self._session.parameters

        def add(state: State) -> None:
            targets = AnnTargets(values)
            for step in self._session.plan.sites:
                name = step.site.name
                found = measured(targets.value(step), parameters[name], step, state)
                known = self._sums[name]
                known[state.time] = known.get(state.time, Sums()) + found

        return add

    def report(self, samples: int) -> tuple[Layer, ...]:
        """The sites after `samples` samples, largest relative error at the last step first.

        Those without a relative error come last.
        """
        sites = self._session.plan.sites
        layers = [_layer(step, self._sums[step.site.name], samples) for step in sites]
        return tuple(sorted(layers, key=_last_error, reverse=True))


def _layer(step: SiteStep, sums: Mapping[int, Sums], samples: int) -> Layer:
    neurons = max((total.neurons for total in sums.values()), default=0)
    return Layer(
        site=step.site.name,
        op_type=BY_OP_TYPE[step.source.op_type].source,
        neurons=round(neurons / max(samples, 1)),
        points=tuple(sums[t].at(t) for t in sorted(sums)),
    )


def _last_error(layer: Layer) -> float:
    error = layer.points[-1].relative_error if layer.points else None
    return -1.0 if error is None else error
