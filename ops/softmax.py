"""Softmax (ONNX Softmax-13): f(x) = exp(x) / sum(exp(x)) along `axis`, counted from the last.

One row-wise site, whose neurons see their whole row. Masks are part of x: an entry at minus
infinity has f = 0, and so has a row without any finite entry, of which the ONNX operator says
nothing but NaN.
"""

import torch
from torch import Tensor

from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.operator import Attribute, SpikingOperator, unary
from onnx2snn.ops.target import Target


def softmax(axis: int) -> Target:
    """f(x) = exp(x) / sum(exp(x)) along `axis`; 0 in a row that is masked entirely."""
    if axis >= 0:
        raise ModelError(f"attribute 'axis' is {axis}; in a spiking file it counts from the last")

    def function(x: Tensor) -> Tensor:
        return torch.softmax(x, axis).nan_to_num(0.0)

    return Target(f"softmax(axis={axis})", 1, function)


BODY = """
    shares = Softmax <axis: int = @axis> (X)
    masked = IsNaN (shares)
    nothing = Constant <value_float: float = 0.0> ()
    zero = CastLike (nothing, shares)
    Y = Where (masked, zero, shares)
"""

SOFTMAX = SpikingOperator(
    source="Softmax",
    equation="f(x) = exp(x) / sum(exp(x)) along `axis`, 0 in a row that is masked entirely",
    build=unary(softmax, "axis"),
    body=BODY,
    attributes=(Attribute("axis", "int", -1),),
)
