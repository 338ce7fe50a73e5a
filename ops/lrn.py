"""LRN (ONNX LRN-13): f(x) = x / (bias + alpha / size * sum of x^2 over near channels)^beta.

One site, whose neurons see the `size` channels around their own, channels being axis 1.
"""

import torch
from torch import Tensor

from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.operator import Attribute, SpikingOperator, unary
from onnx2snn.ops.target import Target


def local_response(alpha: float, beta: float, bias: float, size: int | None) -> Target:
    """f(x) = x / (bias + alpha / size * s)^beta, s the sum of squares of `size` channels."""
    if size is None or size < 1:
        raise ModelError(f"attribute 'size' is {size}; it must be positive")

    def function(x: Tensor) -> Tensor:
        channels = x.shape[1]
        squares = x.square().movedim(1, -1)
        padded = torch.nn.functional.pad(squares, ((size - 1) // 2, size // 2))
        total = padded.unfold(-1, size, 1).sum(-1)[..., :channels].movedim(-1, 1)
        return x / (bias + alpha / size * total) ** beta

    return Target(f"lrn(alpha={alpha:g}, beta={beta:g}, bias={bias:g}, size={size})", 1, function)


LRN = SpikingOperator(
    source="LRN",
    equation="f(x) = x / (bias + alpha / size * sum of x^2 over `size` channels)^beta",
    build=unary(local_response, "alpha", "beta", "bias", "size"),
    attributes=(
        Attribute("alpha", "float", 1e-4),
        Attribute("beta", "float", 0.75),
        Attribute("bias", "float", 1.0),
        Attribute("size", "int"),
    ),
)
