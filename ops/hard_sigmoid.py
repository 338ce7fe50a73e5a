"""HardSigmoid (ONNX HardSigmoid-22): f(x) = max(0, min(1, alpha * x + beta))."""

from onnx2snn.ops.operator import Attribute, SpikingOperator, unary
from onnx2snn.ops.target import Target


def hard_sigmoid(alpha: float, beta: float) -> Target:
    """f(x) = max(0, min(1, alpha * x + beta))."""
    return Target(
        f"hard_sigmoid(alpha={alpha:g}, beta={beta:g})",
        1,
        lambda x: (alpha * x + beta).clamp(0.0, 1.0),
        "a = Mul (alpha, X1) s = Add (a, beta) l = Max (s, zero) Y = Min (l, one)",
        {"alpha": alpha, "beta": beta, "zero": 0.0, "one": 1.0},
    )


HARD_SIGMOID = SpikingOperator(
    source="HardSigmoid",
    equation="f(x) = max(0, min(1, alpha * x + beta))",
    build=unary(hard_sigmoid, "alpha", "beta"),
    attributes=(
        Attribute("alpha", "float", 0.2),
        Attribute("beta", "float", 0.5),
    ),
)
