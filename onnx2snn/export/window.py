"""Window, the linear part of max pooling, as standard ONNX nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnx2snn.export.writer import Writer

_END = 2**63 - 1


def write_window(writer: Writer, x: str, attributes: Mapping[str, Any]) -> str:
    """The members of every window along one axis, member after member."""
    padded = any(attributes["pads"]) and attributes["auto_pad"] == "NOTSET"
    same = attributes["auto_pad"] in ("SAME_UPPER", "SAME_LOWER")
    if same or attributes["ceil_mode"] or (padded and attributes["dilation"] > 1):
        indices = _indices(writer, x, attributes)
        return writer.call("Gather", x, indices, hint="Window", axis=attributes["axis"])
    return _slices(writer, x, attributes, padded)


def _slices(writer: Writer, x: str, attributes: Mapping[str, Any], padded: bool) -> str:
    """Every member as a strided slice; padding repeats the nearest member at the edge."""
    axis, dilation = writer.constant([attributes["axis"]]), attributes["dilation"]
    if padded:
        pads = writer.constant(list(attributes["pads"]))
        x = writer.call("Pad", x, pads, "", axis, mode="edge")
    last = attributes["kernel"] - 1
    parts = []
    for member in attributes["members"]:
        behind = (last - member) * dilation
        start = writer.constant([member * dilation])
        end = writer.constant([-behind if behind else _END])
        stride = writer.constant([attributes["stride"]])
        parts.append(writer.call("Slice", x, start, end, axis, stride, hint="Window"))
    if len(parts) == 1:
        return parts[0]
    return writer.emit("Concat", parts, {"axis": attributes["axis"]}, ("Window",))[0]


def _indices(writer: Writer, x: str, attributes: Mapping[str, Any]) -> str:
    """Positions of the members, each moved by whole dilations to the nearest one inside.

    In integer arithmetic on the axis' length n, which only the running model knows.
    """
    const, call = writer.constant, writer.call
    stride, dilation, kernel = (attributes[key] for key in ("stride", "dilation", "kernel"))
    shape = call("Shape", x)
    n = call("Gather", shape, const(attributes["axis"]), hint="length")
    reach = dilation * (kernel - 1)
    before, count = _begin_and_count(writer, n, reach, attributes)
    steps = call("Range", const(0), count, const(1), hint="windows")
    first = call("Sub", call("Mul", steps, const(stride)), before, hint="first")
    members = const([[member * dilation] for member in attributes["members"]])
    grid = call("Reshape", call("Add", members, first), const([-1]), hint="members")
    zero, unit, round_up = const(0), const(dilation), const(dilation - 1)

    def whole(distance: str) -> str:
        cut = call("Max", distance, zero)
        return call("Mul", call("Div", call("Add", cut, round_up), unit), unit)

    below = whole(call("Neg", grid))
    beyond = whole(call("Sub", grid, call("Sub", n, const(1))))
    return call("Sub", call("Add", grid, below), beyond, hint="indices")


def _begin_and_count(
    writer: Writer, n: str, reach: int, attributes: Mapping[str, Any]
) -> tuple[str, str]:
    """Padding in front and the number of windows, from the length n."""
    const, call, stride = writer.constant, writer.call, attributes["stride"]
    one, step = const(1), const(stride)

    def ceil_div(x: str) -> str:
        return call("Div", call("Add", x, const(stride - 1)), step)

    if attributes["auto_pad"] in ("SAME_UPPER", "SAME_LOWER"):
        count = ceil_div(n)
        wanted = call("Add", call("Mul", call("Sub", count, one), step), const(reach + 1))
        total = call("Max", call("Sub", wanted, n), const(0))
        small = call("Div", total, const(2))
        lower = attributes["auto_pad"] == "SAME_LOWER"
        return (call("Sub", total, small) if lower else small), count
    begin, end = attributes["pads"] if attributes["auto_pad"] == "NOTSET" else (0, 0)
    span = call("Add", n, const(begin + end - reach - 1))
    if not attributes["ceil_mode"]:
        return const(begin), call("Add", call("Div", span, step), one)
    count = call("Add", ceil_div(span), one)
    start = call("Mul", call("Sub", count, one), step)
    inside = call("Less", start, call("Add", n, const(begin)))
    fits = call("Where", inside, const(0), one)
    return const(begin), call("Sub", count, fits)
