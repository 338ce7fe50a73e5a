"""The neurons of `ops/neurons.py` as standard ONNX nodes: fire and update."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from onnx import TensorProto

from onnx2snn.export.neurons import Firing
from onnx2snn.export.nodes import float_type
from onnx2snn.export.text import write_text
from onnx2snn.export.writer import Writer
from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.plan import SiteStep


class Inputs(NamedTuple):
    """Names of what a site reads at a step, "" where it does not; see `ops/neurons.py`."""

    estimate: str
    currents: Sequence[str]
    step_size: str
    threshold: str
    rate: str
    kept: str


Neuron = Callable[[Writer, SiteStep, Inputs], Firing]


def _as_number(writer: Writer, fires: str, site: str) -> str:
    return writer.call("Cast", fires, hint=f"{site}/fired", to=float_type(writer.dtype))


def _as_spikes(writer: Writer, fires: str, site: str) -> str:
    return writer.call("Cast", fires, hint=f"{site}/s", to=TensorProto.INT8)


def _predicate(writer: Writer, step: SiteStep, given: Inputs) -> Firing:
    """s = 1 where the target's predicate holds of v - theta; dv = -eta * (2s - 1)."""
    target, site = step.site.target, step.site.name
    assert target.fires is not None
    estimate = given.estimate
    if given.threshold:
        estimate = writer.call("Sub", estimate, given.threshold, hint=f"{site}/level")
    fires = write_text(writer, target.fires.body, given.currents, target.constants, site, estimate)
    down = writer.call("Neg", given.step_size, hint=f"{site}/down")
    change = writer.call("Where", fires, down, given.step_size, hint=f"{site}/change")
    return Firing(change, _as_spikes(writer, fires, site))


def _integrate(writer: Writer, step: SiteStep, given: Inputs) -> Firing:
    """s = 1 where x - kept * v >= theta; dv = eta * (Theta * s - v)."""
    site, call = step.site.name, writer.call
    spent = call("Mul", given.kept, given.estimate, hint=f"{site}/spent")
    membrane = call("Sub", given.currents[0], spent, hint=f"{site}/membrane")
    level = given.threshold or writer.constant(0.0)
    fires = call("GreaterOrEqual", membrane, level, hint=f"{site}/fires")
    sent = call("Mul", given.step_size, _as_number(writer, fires, site), hint=f"{site}/sent")
    faded = call("Mul", given.rate, given.estimate, hint=f"{site}/faded")
    change = call("Sub", sent, faded, hint=f"{site}/change")
    return Firing(change, _as_spikes(writer, fires, site))


def _current(writer: Writer, step: SiteStep, given: Inputs) -> Firing:
    """dv = eta * (x - v); no spikes."""
    site = step.site.name
    missing = writer.call("Sub", given.currents[0], given.estimate, hint=f"{site}/missing")
    return Firing(writer.call("Mul", given.step_size, missing, hint=f"{site}/change"), "")


def _poisson(writer: Writer, step: SiteStep, given: Inputs) -> Firing:
    raise ModelError(
        f"site '{step.site.name}' draws random spikes, which no standard ONNX operator repeats; "
        "convert with --input direct"
    )


NEURONS: Mapping[str, Neuron] = {
    "predicate": _predicate,
    "integrate": _integrate,
    "current": _current,
    "poisson": _poisson,
}
