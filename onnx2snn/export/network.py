"""A spiking file as the two parts of every export: what runs once, and one time step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx
import torch
from onnx import TensorProto

from onnx2snn.export.double import REWRITES
from onnx2snn.export.once import Once
from onnx2snn.export.shapes import infer
from onnx2snn.export.step import SPIKES, SiteInputs, StateNames, Step
from onnx2snn.export.writer import Array, Names, Store, Writer
from onnx2snn.ops.errors import ModelError, UsageError
from onnx2snn.ops.neurons import shares_kept
from onnx2snn.runtime.graph import read_graph
from onnx2snn.runtime.parameters import read_parameters
from onnx2snn.runtime.plan import Plan, compile_plan
from onnx2snn.runtime.session import PRECISIONS
from onnx2snn.runtime.state import Parameters

Source = onnx.ModelProto


@dataclass(frozen=True)
class Network:
    """Both parts, with names in common.

    courses: arrays [T, ...] by the names under which the step reads one row of them.
    """

    source: Source
    plan: Plan
    once: Once
    step: Step
    courses: Mapping[str, Array]
    time_steps: int

    @property
    def store(self) -> Store:
        """The constants of both parts."""
        return self.once.writer.store

    def element_type(self, state: StateNames) -> int:
        """ONNX element type of a state."""
        if self.once.known.is_discrete(state.tensor):
            return self.once.known.types[state.tensor]
        return TensorProto.DOUBLE if self.store.dtype == np.float64 else TensorProto.FLOAT

    @property
    def spikes(self) -> dict[str, str]:
        """Per site, what the output of its spikes is called."""
        return {site.site.name: f"{site.site.name}{SPIKES}" for site in self.plan.sites}


def read_network(source: Source, time_steps: int | None, precision: str) -> Network:
    """Both parts of a checked spiking model, for `time_steps` steps or all that it holds."""
    if precision not in PRECISIONS:
        raise UsageError(f"precision '{precision}' is not one of {', '.join(PRECISIONS)}")
    plan = compile_plan(read_graph(source))
    if not plan.sites:
        raise ModelError("the model holds no spiking neurons; run `onnx2snn convert` on it first")
    parameters = read_parameters(plan, torch.device("cpu"), PRECISIONS[precision])
    steps = _checked(time_steps, min(p.time_steps for p in parameters.values()))
    names = Names({info.name for info in (*plan.graph.inputs, *plan.graph.outputs)})
    names.used.update(f"{site.site.name}{SPIKES}" for site in plan.sites)
    store = Store(names, np.dtype(precision))
    rewrites = REWRITES if precision == "float64" else {}
    once = Once(plan, Writer(store, rewrites=rewrites), parameters, infer(plan, parameters))
    once.write()
    inputs: dict[str, SiteInputs] = {}
    courses: dict[str, Array] = {}
    integrating = {step.site.name for step in plan.sites if step.neuron == "integrate"}
    for site, own in parameters.items():
        inputs[site], rows = _schedule(names, site, own, steps, site in integrating)
        courses |= rows
    step = Step(plan, once, Writer(store, rewrites=rewrites), inputs)
    step.write()
    return Network(source, plan, once, step, courses, steps)


def _checked(time_steps: int | None, held: int) -> int:
    if time_steps is None:
        return held
    if isinstance(time_steps, bool) or not isinstance(time_steps, int) or time_steps < 1:
        raise UsageError(f"time steps must be a positive whole number, not {time_steps!r}")
    if time_steps > held:
        raise UsageError(
            f"{time_steps} time steps were asked for, but the file holds a schedule of {held}; "
            f"convert with --time-steps {time_steps}"
        )
    return time_steps


def _schedule(
    names: Names, site: str, own: Parameters, steps: int, integrating: bool
) -> tuple[SiteInputs, dict[str, Array]]:
    """What a site reads at each step, and the arrays that hold it for all steps."""
    rows: dict[str, Array] = {}

    def over_time(what: str, array: Array) -> str:
        name = names.fresh(f"{site}.{what}")
        rows[name] = array
        return name

    thresholds = own.thresholds[:steps].numpy()
    start, stop = own.window
    active = (np.arange(steps) >= start) & (np.arange(steps) < stop)
    inputs = SiteInputs(
        over_time("step_size", own.step_sizes[:steps].numpy()),
        over_time("threshold", thresholds) if thresholds.any() else "",
        "" if active.all() else over_time("active", active),
    )
    if integrating:
        assert own.rates is not None
        kept = over_time("kept", shares_kept(own.rates)[:steps].numpy())
        inputs = replace(inputs, rate=over_time("rate", own.rates[:steps].numpy()), kept=kept)
    return inputs, rows
