"""Clip (ONNX Clip-13): f(x) = min(max(x, lower), upper); ReLU6 for bounds 0 and 6."""

from collections.abc import Mapping
from typing import Any

import torch

from onnx2snn.ops.lowering import Lowering
from onnx2snn.ops.operator import SpikingOperator
from onnx2snn.ops.target import Target


def clip(lower: bool, upper: bool) -> Target:
    """f(x, bounds...) = min(max(x, lower), upper), with the bounds that are present."""
    if lower and upper:
        return Target("clip", 3, lambda x, low, high: torch.minimum(torch.maximum(x, low), high))
    if lower:
        return Target("clip", 2, torch.maximum)
    if upper:
        return Target("clip", 2, torch.minimum)
    return Target("identity", 1, lambda x: x)


def _build(lowering: Lowering, operands: tuple[str, ...], attributes: Mapping[str, Any]) -> str:
    x, lower, upper = operands
    bounds = tuple(name for name in (lower, upper) if name)
    return lowering.site("output", clip(bool(lower), bool(upper)), x, *bounds)


CLIP = SpikingOperator(
    source="Clip",
    equation="f(x) = min(max(x, lower), upper)",
    build=_build,
    operands=("X", "lower", "upper"),
    optional=2,
)
