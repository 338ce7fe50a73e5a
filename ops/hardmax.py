"""Hardmax (ONNX Hardmax-13): 1 for the first largest entry along `axis`, 0 for the others.

One row-wise site, whose neurons see their whole row; the axis is counted from the last. Behind
other sites a near tie may be decided the other way: what the claim makes room for.
"""

import torch
from torch import Tensor

from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.operator import Attribute, SpikingOperator, unary
from onnx2snn.ops.target import Target


def hardmax(axis: int) -> Target:
    """f(x) = 1 at the first largest entry along `axis`, 0 elsewhere."""
    if axis >= 0:
        raise ModelError(f"attribute 'axis' is {axis}; in a spiking file it counts from the last")

    def function(x: Tensor) -> Tensor:
        return torch.zeros_like(x).scatter(axis, x.argmax(axis, keepdim=True), 1.0)

    return Target(f"hardmax(axis={axis})", 1, function)


HARDMAX = SpikingOperator(
    source="Hardmax",
    equation="f(x) = 1 for the first largest entry along `axis`, 0 for the others",
    build=unary(hardmax, "axis"),
    attributes=(Attribute("axis", "int", -1),),
    claim=0.02,
)
