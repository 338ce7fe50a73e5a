"""Gelu (ONNX Gelu-20): f(x) = x * Phi(x), exactly or by its tanh approximation."""

import torch

from onnx2snn.ops.operator import Attribute, SpikingOperator, unary
from onnx2snn.ops.target import Target


def gelu(approximate: str) -> Target:
    """f(x) = x * Phi(x), Phi the normal distribution function or its tanh approximation."""
    return Target(
        f"gelu(approximate={approximate})",
        1,
        lambda x: torch.nn.functional.gelu(x, approximate=approximate),
    )


GELU = SpikingOperator(
    source="Gelu",
    equation="f(x) = x * Phi(x); x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) for 'tanh'",
    build=unary(gelu, "approximate"),
    attributes=(Attribute("approximate", "string", "none", ("none", "tanh")),),
)
