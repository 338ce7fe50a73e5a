"""Softplus (ONNX Softplus-22): f(x) = log(1 + exp(x))."""

import torch

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target

# y = max(x, 0) + log1p(z), z = exp(-|x|); log1p(z) = z * log(u) / (u - 1), u = 1 + z rounded.
BODY = """
    p = Max (X1, zero) a = Abs (X1) m = Neg (a) z = Exp (m) u = Add (z, one) d = Sub (u, one)
    none = Equal (d, zero) safe = Where (none, one, d) l = Log (u) ratio = Div (l, safe)
    product = Mul (z, ratio) tail = Where (none, z, product) y = Add (p, tail)
"""


def softplus() -> Target:
    """f(x) = log(1 + exp(x))."""
    body = BODY + "far = Greater (X1, twenty) Y = Where (far, X1, y)"
    constants = {"zero": 0.0, "one": 1.0, "twenty": 20.0}
    return Target("softplus", 1, torch.nn.functional.softplus, body, constants)


SOFTPLUS = SpikingOperator(
    source="Softplus",
    equation="f(x) = log(1 + exp(x))",
    build=unary(softplus),
)
