"""Selu (ONNX Selu-22): f(x) = gamma * x for x > 0, gamma * alpha * (exp(x) - 1) below."""

import torch

from onnx2snn.ops.elu import BODY
from onnx2snn.ops.operator import Attribute, SpikingOperator, unary
from onnx2snn.ops.target import Target


def selu(alpha: float, gamma: float) -> Target:
    """f(x) = gamma * x for x > 0, gamma * alpha * (exp(x) - 1) below."""
    return Target(
        f"selu(alpha={alpha:g}, gamma={gamma:g})",
        1,
        lambda x: gamma * torch.nn.functional.elu(x, alpha),
        BODY.format(output="y") + "Y = Mul (gamma, y)",
        {"zero": 0.0, "one": 1.0, "alpha": alpha, "gamma": gamma},
    )


SELU = SpikingOperator(
    source="Selu",
    equation="f(x) = gamma * x for x > 0, gamma * alpha * (exp(x) - 1) below",
    build=unary(selu, "alpha", "gamma"),
    attributes=(
        Attribute("alpha", "float", 1.6732631921768188),
        Attribute("gamma", "float", 1.0507010221481323),
    ),
)
