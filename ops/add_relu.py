"""AddRelu, a Relu behind a residual sum (ONNX Add-14, Relu-14): f(a, b) = max(a + b, 0).

With a the shortcut of the block, y = a + max(b, -a): neurons send only what the block adds,

    d = site difference  f(a, b) = max(b, -a)
    y = a + d            linear

and spikes of the sites before the block reach those behind it without being sent anew. AddRelu
is no operator of the standard but a pair of them.
"""

from collections.abc import Mapping
from typing import Any

import torch

from onnx2snn.ops.lowering import Lowering
from onnx2snn.ops.operator import SpikingOperator
from onnx2snn.ops.target import Target


def rectified_difference() -> Target:
    """f(a, b) = max(a + b, 0) - a = max(b, -a)."""
    return Target(
        "max(x2,-x1)", 2, lambda a, b: torch.maximum(b, -a), "N = Neg (X1) Y = Max (X2, N)"
    )


def _build(lowering: Lowering, operands: tuple[str, ...], attributes: Mapping[str, Any]) -> str:
    shortcut, addend = operands
    target = rectified_difference()
    return lowering.site("difference", target, shortcut, addend, beside=shortcut)


ADD_RELU = SpikingOperator(
    source="AddRelu",
    equation="f(a, b) = max(a + b, 0), of which neurons send max(b, -a)",
    build=_build,
    operands=("A", "B"),
    signals=(0, 1),
    body="sum = Add (A, B) Y = Relu (sum)",
)
