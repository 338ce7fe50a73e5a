"""MaxUnpool in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from onnx2snn.export.writer import Writer
from onnx2snn.runtime.linear.arguments import needed_attribute, per_axis


def write_max_unpool(writer: Writer, inputs: Sequence[str], attributes: Mapping[str, Any]) -> str:
    """MaxUnpool: x at its places in a tensor of zeros, then cells added at the end."""
    call, const = writer.call, writer.constant
    (x, places), wanted = inputs[:2], inputs[2] if len(inputs) > 2 else ""
    shape = _inferred(writer, x, attributes)
    zeros = call("ConstantOfShape", shape, value=np.zeros(1, writer.dtype))
    flat = [call("Reshape", tensor, const([-1])) for tensor in (zeros, places, x)]
    scattered = writer.emit("ScatterElements", flat, {"axis": 0})[0]
    result = call("Reshape", scattered, shape, hint="MaxUnpool")
    if not wanted:
        return result
    missing = call("Sub", wanted, shape)
    pads = writer.emit("Concat", [call("Sub", shape, shape), missing], {"axis": 0})[0]
    return call("Pad", result, pads, const(0.0), hint="MaxUnpool")


def _inferred(writer: Writer, x: str, attributes: Mapping[str, Any]) -> str:
    """Batch and channels of `x`, and (size - 1) * stride + kernel - pads along each axis."""
    kernel = needed_attribute(attributes, "kernel_shape")
    rank = len(kernel)
    strides = per_axis(attributes, "strides", rank, 1)
    pads = per_axis(attributes, "pads", 2 * rank, 0)
    more = [kernel[i] - strides[i] - pads[i] - pads[i + rank] for i in range(rank)]
    spread = writer.call("Mul", writer.call("Shape", x, start=2), writer.constant(strides))
    sizes = writer.call("Add", spread, writer.constant(more))
    return writer.emit("Concat", [writer.call("Shape", x, end=2), sizes], {"axis": 0})[0]
