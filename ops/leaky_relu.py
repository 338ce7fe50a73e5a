"""LeakyRelu (ONNX LeakyRelu-16): f(x) = x for x >= 0, alpha * x below."""

import torch

from onnx2snn.ops.operator import Attribute, SpikingOperator, unary
from onnx2snn.ops.target import Target


def leaky_relu(alpha: float) -> Target:
    """f(x) = x for x >= 0, alpha * x below."""
    return Target(
        f"leaky_relu(alpha={alpha:g})",
        1,
        lambda x: torch.nn.functional.leaky_relu(x, alpha),
        "p = Greater (X1, zero) n = Mul (X1, alpha) Y = Where (p, X1, n)",
        {"zero": 0.0, "alpha": alpha},
    )


LEAKY_RELU = SpikingOperator(
    source="LeakyRelu",
    equation="f(x) = x for x >= 0, alpha * x below",
    build=unary(leaky_relu, "alpha"),
    attributes=(Attribute("alpha", "float", 0.01),),
)
