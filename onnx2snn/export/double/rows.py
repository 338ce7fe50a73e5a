"""Operators along one axis in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from onnx2snn.export.double.sliding import members
from onnx2snn.export.writer import Writer
from onnx2snn.runtime.linear.arguments import needed_attribute


def write_lrn(writer: Writer, inputs: Sequence[str], attributes: Mapping[str, Any]) -> str:
    """LRN: x / (bias + alpha / size * sum of x^2 over `size` channels)^beta."""
    call, const = writer.call, writer.constant
    x, size = inputs[0], int(needed_attribute(attributes, "size"))
    alpha, beta = attributes.get("alpha", 1e-4), attributes.get("beta", 0.75)
    pads = const([(size - 1) // 2, size // 2])
    squares = call("Pad", call("Mul", x, x), pads, const(0.0), const([1]))
    total = reduce(
        lambda a, b: call("Add", a, b),
        (members(writer, squares, [1], [i], [size - 1 - i], [1]) for i in range(size)),
    )
    mean = call("Mul", total, const(alpha / size))
    power = call("Pow", call("Add", mean, const(float(attributes.get("bias", 1.0)))), const(beta))
    return call("Div", x, power, hint="LRN")


def write_hardmax(writer: Writer, inputs: Sequence[str], attributes: Mapping[str, Any]) -> str:
    """Hardmax: 1 at the first largest entry along `axis`, 0 elsewhere."""
    x, axis = inputs[0], int(attributes.get("axis", -1))
    first = writer.call("ArgMax", x, axis=axis, keepdims=1)
    zeros, ones = (_filled(writer, like, value) for like, value in ((x, 0), (first, 1)))
    return writer.call("ScatterElements", zeros, first, ones, hint="Hardmax", axis=axis)


def _filled(writer: Writer, like: str, value: float) -> str:
    array = np.full(1, value, writer.dtype)
    return writer.call("ConstantOfShape", writer.call("Shape", like), value=array)
