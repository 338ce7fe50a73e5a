"""LeakyRelu (ONNX LeakyRelu-16): f(x) = x for x >= 0, alpha * x below."""

import torch

from onnx2snn.ops.operator import Attribute, SpikingOperator, unary
from onnx2snn.ops.target import Target, decimal, strict


def leaky_relu(alpha: float) -> Target:
    """f(x) = x for x >= 0, alpha * x below."""
    return Target(
        f"leaky_relu(alpha={alpha:g})",
        1,
        lambda x: torch.nn.functional.leaky_relu(x, alpha),
        "p = Greater (X1, zero) n = Mul (X1, alpha) Y = Where (p, X1, n)",
        {"zero": 0.0, "alpha": alpha},
    )


def paper_leaky_relu(alpha: float) -> Target:
    """The same, silent at ties, as in the paper's code."""
    return strict(leaky_relu(decimal(alpha)))


LEAKY_RELU = SpikingOperator(
    source="LeakyRelu",
    equation="f(x) = x for x >= 0, alpha * x below",
    build=unary(leaky_relu, "alpha", paper=paper_leaky_relu),
    attributes=(Attribute("alpha", "float", 0.01),),
)
