"""Standard operators on signals with a leading time axis, in one call and without `torch.vmap`.

Most linear operators leave leading axes alone once axes are counted from the last and ranks
are aligned. Each function here returns None where that does not hold for a node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from onnx2snn.ops.node import Node
from onnx2snn.runtime.linear import LinearOperator
from onnx2snn.runtime.linear.arguments import axes_of, axis_of, integers


@dataclass(frozen=True)
class Call:
    """A node to apply; operands at `varying` have a leading axis of `steps`."""

    node: Node
    operator: LinearOperator
    operands: Sequence[Tensor | None]
    varying: frozenset[int]
    steps: int

    @property
    def signal(self) -> Tensor:
        """Operand 0."""
        x = self.operands[0]
        assert x is not None
        return x

    def rank(self, position: int) -> int:
        """Rank of an operand without its time axis."""
        x = self.operands[position]
        return 0 if x is None else x.dim() - (position in self.varying)

    def apply(
        self, operands: Sequence[Tensor | None], attributes: Mapping[str, Any] | None = None
    ) -> list[Tensor]:
        """The operator itself."""
        return list(
            self.operator.apply(
                operands, self.node.attributes if attributes is None else attributes
            )
        )


Lift = Callable[[Call], list[Tensor] | None]


def _folded(call: Call) -> list[Tensor] | None:
    """Time goes into the batch axis."""
    if call.varying != {0}:
        return None
    results = call.apply([call.signal.flatten(0, 1), *call.operands[1:]])
    return [r.reshape(call.steps, r.shape[0] // call.steps, *r.shape[1:]) for r in results]


def _gemm(call: Call) -> list[Tensor] | None:
    bias = call.operands[2] if len(call.operands) > 2 else None
    if call.node.attributes.get("transA", 0) or bias is not None:
        return None
    return _folded(call)


def _matmul(call: Call) -> list[Tensor] | None:
    ranks = [call.rank(0), call.rank(1)]
    if min(ranks) < 2 or any(ranks[i] < max(ranks) for i in call.varying):
        return None
    return call.apply(call.operands)


def _elementwise(call: Call) -> list[Tensor] | None:
    rank = max(call.rank(i) for i in range(len(call.operands)))
    aligned: list[Tensor | None] = []
    for i, x in enumerate(call.operands):
        if i in call.varying and x is not None and call.rank(i) < rank:
            x = x.reshape(call.steps, *(1,) * (rank - call.rank(i)), *x.shape[1:])
        aligned.append(x)
    return call.apply(aligned)


def _transpose(call: Call) -> list[Tensor] | None:
    order = call.node.attributes.get("perm") or range(call.rank(0))[::-1]
    return [call.signal.permute(0, *(i + 1 for i in order))]


def _reshape(call: Call) -> list[Tensor] | None:
    if call.varying != {0}:
        return None
    shape = call.apply([call.signal[0], *call.operands[1:]])[0].shape
    return [call.signal.reshape(call.steps, *shape)]


def _reduce(call: Call) -> list[Tensor] | None:
    named = integers(call.operands, 1)
    if call.varying != {0} or not named:
        return None
    axes = [i + 1 for i in axes_of(named, call.rank(0))]
    keep = bool(call.node.attributes.get("keepdims", 1))
    reduce = torch.mean if call.node.op_type == "ReduceMean" else torch.sum
    return [reduce(call.signal, dim=axes, keepdim=keep)]


def _axis_from_last(call: Call) -> list[Tensor] | None:
    rank = call.rank(0)
    axis = axis_of(int(call.node.attributes.get("axis", 0)), rank) - rank
    if call.node.op_type != "Concat" and call.varying != {0}:
        return None
    operands = [
        x
        if x is None or call.node.op_type != "Concat" or i in call.varying
        else x.expand(call.steps, *x.shape)
        for i, x in enumerate(call.operands)
    ]
    return call.apply(operands, {**call.node.attributes, "axis": axis})


_LIFTS: dict[str, Lift] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Sum", "Mean", "Neg", "Identity"), _elementwise),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _reshape),
    **dict.fromkeys(("ReduceMean", "ReduceSum"), _reduce),
    **dict.fromkeys(("Concat", "Split"), _axis_from_last),
    "Cast": _elementwise,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Transpose": _transpose,
}


def apply_lifted(call: Call) -> list[Tensor] | None:
    """The results over time, each with a leading time axis; None where vmap must do it."""
    present = [x for x in call.operands if x is not None]
    if not all(x.is_floating_point() for i, x in enumerate(present) if i in call.varying):
        return None
    if call.operator.batched:
        return _folded(call)
    lift = _LIFTS.get(call.node.op_type)
    return None if lift is None else lift(call)
