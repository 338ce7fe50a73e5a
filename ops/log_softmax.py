"""LogSoftmax (ONNX LogSoftmax-13): f(x) = x - log(sum(exp(x))) along `axis`, counted from the last.

One row-wise site, whose neurons see their whole row.
"""

import torch

from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.operator import Attribute, SpikingOperator, unary
from onnx2snn.ops.target import Target


def log_softmax(axis: int) -> Target:
    """f(x) = x - log(sum(exp(x))) along `axis`."""
    if axis >= 0:
        raise ModelError(f"attribute 'axis' is {axis}; in a spiking file it counts from the last")
    return Target(f"log_softmax(axis={axis})", 1, lambda x: torch.log_softmax(x, axis))


LOG_SOFTMAX = SpikingOperator(
    source="LogSoftmax",
    equation="f(x) = x - log(sum(exp(x))) along `axis`",
    build=unary(log_softmax, "axis"),
    attributes=(Attribute("axis", "int", -1),),
)
