"""Log (ONNX Log-13): f(x) = log(max(x, tiny)), tiny the least normal number."""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target


def log() -> Target:
    """f(x) = log(max(x, tiny)): estimates of x may be negative on their way."""
    return Target("log", 1, lambda x: x.clamp_min(torch.finfo(x.dtype).tiny).log())


LOG = SpikingOperator(
    source="Log",
    equation="f(x) = log(x)",
    build=unary(log),
)
