"""Log (ONNX Log-13): f(x) = log(x); where an estimate of x is not positive the neuron waits."""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target


def log() -> Target:
    """f(x) = log(x); where an estimate of x is not positive the neuron waits."""
    return Target("log", 1, torch.log)


LOG = SpikingOperator(
    source="Log",
    equation="f(x) = log(x); where an estimate of x is not positive the neuron waits",
    build=unary(log),
)
