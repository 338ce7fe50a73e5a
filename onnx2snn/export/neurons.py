"""The signGD neuron of `ops/dynamics.py` as standard ONNX nodes: fire and update."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from onnx import TensorProto

from onnx2snn.export.writer import Writer


class Firing(NamedTuple):
    """Names of the increment dv(t) and of the spikes, int8: s(t) or, ternary, sigma(t).

    spikes is "" where an input is encoded without any.
    """

    increment: str
    spikes: str


Fire = Callable[[Writer, str, str, str, str], Firing]


def _binary(writer: Writer, estimate: str, target: str, step_size: str, site: str) -> Firing:
    """s = 1 where v >= f, else 0; dv = -eta * (2s - 1)."""
    fires = writer.call("GreaterOrEqual", estimate, target, hint=f"{site}/fires")
    down = writer.call("Neg", step_size, hint=f"{site}/down")
    increment = writer.call("Where", fires, down, step_size, hint=f"{site}/change")
    spikes = writer.call("Cast", fires, hint=f"{site}/s", to=TensorProto.INT8)
    return Firing(increment, spikes)


def _ternary(writer: Writer, estimate: str, target: str, step_size: str, site: str) -> Firing:
    """sigma = sign(v - f) where |v - f| > eta / 2, else 0; dv = -eta * sigma."""
    error = writer.call("Sub", estimate, target, hint=f"{site}/error")
    distance = writer.call("Abs", error, hint=f"{site}/distance")
    half = writer.call("Mul", step_size, writer.constant(0.5), hint=f"{site}/half")
    fires = writer.call("Greater", distance, half, hint=f"{site}/fires")
    zero = writer.constant(0.0)
    above = writer.call("GreaterOrEqual", error, zero, hint=f"{site}/above")
    down = writer.call("Neg", step_size, hint=f"{site}/down")
    signed = writer.call("Where", above, down, step_size, hint=f"{site}/signed")
    increment = writer.call("Where", fires, signed, zero, hint=f"{site}/change")
    sign = writer.call("Where", fires, writer.call("Sign", error), zero, hint=f"{site}/sign")
    return Firing(increment, writer.call("Cast", sign, hint=f"{site}/sigma", to=TensorProto.INT8))


ALPHABETS: Mapping[str, Fire] = {"binary": _binary, "ternary": _ternary}
