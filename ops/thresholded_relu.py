"""ThresholdedRelu (ONNX ThresholdedRelu-22): f(x) = x for x > alpha, 0 elsewhere."""

import torch

from onnx2snn.ops.operator import Attribute, SpikingOperator, unary
from onnx2snn.ops.target import Target


def thresholded_relu(alpha: float) -> Target:
    """f(x) = x for x > alpha, 0 elsewhere."""
    return Target(
        f"thresholded_relu(alpha={alpha:g})",
        1,
        lambda x: torch.where(x > alpha, x, 0.0),
        "p = Greater (X1, alpha) Y = Where (p, X1, zero)",
        {"zero": 0.0, "alpha": alpha},
    )


THRESHOLDED_RELU = SpikingOperator(
    source="ThresholdedRelu",
    equation="f(x) = x for x > alpha, 0 elsewhere",
    build=unary(thresholded_relu, "alpha"),
    attributes=(Attribute("alpha", "float", 1.0),),
)
