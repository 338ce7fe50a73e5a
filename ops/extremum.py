"""Max and Min of two operands (ONNX Max-13, Min-13): one binary site; of many, at once."""

from functools import reduce

import torch
from torch import Tensor

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target, strict


def maximum() -> Target:
    """f(x_1, x_2) = max(x_1, x_2)."""
    return Target("maximum", 2, torch.maximum, "Y = Max (X1, X2)")


def paper_maximum() -> Target:
    """The same, silent at ties, as in the paper's code."""
    return strict(maximum())


def largest(count: int, floor: float) -> Target:
    """f(x_1, ..., x_k) = max(x_1, ..., x_k, floor), k = `count`."""

    def function(*values: Tensor) -> Tensor:
        return reduce(torch.maximum, values).clamp_min(floor)

    members = ", ".join(f"X{i + 1}" for i in range(count))
    return Target("largest", count, function, f"Y = Max ({members}, floor)", {"floor": floor})


def minimum() -> Target:
    """f(x_1, x_2) = min(x_1, x_2)."""
    return Target("minimum", 2, torch.minimum, "Y = Min (X1, X2)")


MAX = SpikingOperator(
    source="Max",
    equation="f(a, b) = max(a, b)",
    build=unary(maximum, paper=paper_maximum),
    operands=("A", "B"),
    signals=(0, 1),
)

MIN = SpikingOperator(
    source="Min",
    equation="f(a, b) = min(a, b)",
    build=unary(minimum),
    operands=("A", "B"),
    signals=(0, 1),
)
