"""Gelu (ONNX Gelu-20): f(x) = x * Phi(x), exactly or by its tanh approximation."""

from math import pi, sqrt

import torch

from onnx2snn.ops.operator import Attribute, SpikingOperator, unary
from onnx2snn.ops.target import Target, strict

BODIES = {
    "none": "r = Mul (X1, root) e = Erf (r) p = Add (e, one) h = Mul (X1, half) Y = Mul (h, p)",
    "tanh": """
        q = Mul (X1, X1) c = Mul (q, X1) k = Mul (c, cubic) s = Add (X1, k) a = Mul (s, slope)
        t = Tanh (a) p = Add (t, one) h = Mul (X1, half) Y = Mul (h, p)
    """,
}
PAPER_SLOPE = 1.702
CONSTANTS = {
    "half": 0.5,
    "one": 1.0,
    "root": sqrt(0.5),
    "cubic": 0.044715,
    "slope": sqrt(2 / pi),
}


def gelu(approximate: str) -> Target:
    """f(x) = x * Phi(x), Phi the normal distribution function or its tanh approximation."""
    return Target(
        f"gelu(approximate={approximate})",
        1,
        lambda x: torch.nn.functional.gelu(x, approximate=approximate),
        BODIES[approximate],
        CONSTANTS,
    )


def paper_gelu(approximate: str) -> Target:
    """f(x) = x * sigmoid(1.702 x), silent at ties: the paper's code, whatever was asked for."""
    target = Target(
        "gelu(paper)",
        1,
        lambda x: x * torch.sigmoid(PAPER_SLOPE * x),
        "a = Mul (X1, slope) g = Sigmoid (a) Y = Mul (X1, g)",
        {"slope": PAPER_SLOPE},
    )
    return strict(target)


GELU = SpikingOperator(
    source="Gelu",
    equation="f(x) = x * Phi(x); x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) for 'tanh'",
    build=unary(gelu, "approximate", paper=paper_gelu),
    attributes=(Attribute("approximate", "string", "none", ("none", "tanh")),),
)
