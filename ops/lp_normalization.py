"""LpNormalization (ONNX LpNormalization-22): f(x) = x / ||x||_p along `axis`, p of 1 or 2.

One row-wise site, whose neurons see their whole row; the axis is counted from the last.
"""

import torch
from torch import Tensor

from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.operator import Attribute, SpikingOperator, unary
from onnx2snn.ops.target import Target


def lp_normalised(axis: int, p: int) -> Target:
    """f(x) = x / ||x||_p along `axis`; 0 in a row of zeros."""
    if axis >= 0:
        raise ModelError(f"attribute 'axis' is {axis}; in a spiking file it counts from the last")
    if p not in (1, 2):
        raise ModelError(f"attribute 'p' is {p}; it must be 1 or 2")

    def function(x: Tensor) -> Tensor:
        norm: Tensor = torch.linalg.vector_norm(x, p, axis, keepdim=True)
        return x / norm.clamp_min(torch.finfo(x.dtype).tiny)

    return Target(f"lp_normalization(axis={axis}, p={p})", 1, function)


LP_NORMALIZATION = SpikingOperator(
    source="LpNormalization",
    equation="f(x) = x / ||x||_p along `axis`",
    build=unary(lp_normalised, "axis", "p"),
    attributes=(Attribute("axis", "int", -1), Attribute("p", "int", 2)),
)
