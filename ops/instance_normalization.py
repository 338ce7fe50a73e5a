"""InstanceNormalization (ONNX InstanceNormalization-22): of each channel over its positions.

f(x) = scale * (x - mean(x)) / sqrt(var(x) + epsilon) + bias, in the sites of LayerNormalization.
"""

from collections.abc import Mapping
from typing import Any

from onnx2snn.ops.layer_normalization import SITES, normalise, trailing_axes
from onnx2snn.ops.lowering import Lowering
from onnx2snn.ops.operator import Attribute, SpikingOperator


def _build(lowering: Lowering, operands: tuple[str, ...], attributes: Mapping[str, Any]) -> str:
    """The attribute `axis` is the first spatial axis, counted from the last."""
    x, scale, bias = operands
    axes = trailing_axes(attributes["axis"])
    z = normalise(lowering, x, axes, attributes)
    channels = lowering.constant([-1, *(1 for _ in axes)])
    z = lowering.linear("Mul", z, lowering.linear("Reshape", scale, channels))
    return lowering.linear("Add", z, lowering.linear("Reshape", bias, channels))


INSTANCE_NORMALIZATION = SpikingOperator(
    source="InstanceNormalization",
    equation="f(x) = scale * (x - mean(x)) / sqrt(var(x) + epsilon) + bias over spatial axes",
    build=_build,
    operands=("X", "scale", "bias"),
    attributes=(Attribute("axis", "int", -2), Attribute("epsilon", "float", 1e-5), SITES),
    claim=0.006,
)
