"""Where (ONNX Where-16) by a comparison of signals: f(x, y, a, b) = a if x < y, else b.

A comparison has no value that neurons could approach from both sides; the choice it makes has.
WhereLess and WhereLessOrEqual are no operators of the standard but pairs of them. There is none
for equality, since two estimates are never quite equal. Behind other sites a near tie may be
decided the other way: what the claim makes room for.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Target


def _operator(
    comparison: str, sign: str, compare: Callable[[Tensor, Tensor], Tensor]
) -> SpikingOperator:
    def chosen() -> Target:
        def function(x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
            return torch.where(compare(x, y), a, b)

        return Target(f"x1{sign}x2?x3:x4", 4, function)

    return SpikingOperator(
        source=f"Where{comparison}",
        equation=f"f(x, y, a, b) = a where x {sign} y, else b",
        build=unary(chosen),
        operands=("left", "right", "A", "B"),
        signals=(0, 1, 2, 3),
        body=f"condition = {comparison} (left, right) Y = Where (condition, A, B)",
        claim=0.04,
    )


WHERE_LESS = _operator("Less", "<", torch.lt)
WHERE_LESS_OR_EQUAL = _operator("LessOrEqual", "<=", torch.le)
