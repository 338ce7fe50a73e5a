"""BatchNormalization in float64, with its epsilon in float64 too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onnx2snn.export.double.sliding import known_rank
from onnx2snn.export.writer import Writer


def write_batch_normalization(
    writer: Writer, inputs: Sequence[str], attributes: Mapping[str, Any]
) -> str:
    """BatchNormalization in inference: (x - mean) / sqrt(var + epsilon) * scale + bias."""
    call, const = writer.call, writer.constant
    x, scale, bias, mean, variance = inputs
    shape = const([-1, *[1] * (known_rank(writer, x) - 2)])
    epsilon = const(float(attributes.get("epsilon", 1e-5)))
    deviation = call("Sqrt", call("Add", variance, epsilon))
    gain = call("Reshape", call("Div", scale, deviation), shape)
    centred = call("Sub", x, call("Reshape", mean, shape))
    scaled = call("Mul", centred, gain)
    return call("Add", scaled, call("Reshape", bias, shape), hint="BatchNormalization")
