"""Applies one node to tensors, at one time or over a block of time steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from onnx2snn.ops.errors import ModelError, Onnx2SnnError
from onnx2snn.ops.node import Node
from onnx2snn.runtime.fallback import SingleNode
from onnx2snn.runtime.lifted import Call, apply_lifted
from onnx2snn.runtime.linear import LinearOperator

Operands = list[Tensor | None]


@dataclass(frozen=True)
class NodeRunner:
    """Runs nodes in PyTorch where there is an operator, by the one-node fallback elsewhere.

    opsets: versions of the operator domains the model imports.
    """

    opsets: Mapping[str, int]
    fallbacks: dict[str, SingleNode] = field(default_factory=dict)

    def apply(
        self, node: Node, operator: LinearOperator | None, operands: Operands
    ) -> Sequence[Tensor]:
        """Results of the node; ModelError names it and the operands' shapes."""
        try:
            if operator is not None:
                return self._native(node, operator, operands)
            return self._fallback(node)(operands)
        except Onnx2SnnError as error:
            raise ModelError(f"node '{node.name}' ({node.op_type}): {error}") from error
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            shapes = ", ".join(str(list(x.shape)) for x in operands if x is not None)
            reason = str(error).strip().splitlines()[0]
            raise ModelError(
                f"node '{node.name}' ({node.op_type}) fails on operands of shape {shapes}: {reason}"
            ) from error

    def _lifted(self, call: Call) -> Sequence[Tensor] | None:
        try:
            return apply_lifted(call)
        except (Onnx2SnnError, RuntimeError, IndexError, ValueError, TypeError):
            return None  # vmap runs into the same error, and names the operands

    def _native(self, node: Node, operator: LinearOperator, operands: Operands) -> Sequence[Tensor]:
        """By PyTorch, whose unsigned integers lack most kernels."""
        try:
            return operator.apply(operands, node.attributes)
        except (ModelError, RuntimeError) as error:
            if "not implemented for" not in str(error):
                raise
            return self._fallback(node)(operands)

    def _fallback(self, node: Node) -> SingleNode:
        if node.name not in self.fallbacks:
            self.fallbacks[node.name] = SingleNode(node, self.opsets)
        return self.fallbacks[node.name]

    def apply_over_time(
        self,
        node: Node,
        operator: LinearOperator | None,
        operands: Operands,
        varying: frozenset[int],
        steps: int,
    ) -> Sequence[Tensor]:
        """Apply the node to operands whose varying members have a leading time axis."""

        def at(t: int) -> Operands:
            return [x[t] if i in varying and x is not None else x for i, x in enumerate(operands)]

        if steps == 1:
            return [r.unsqueeze(0) for r in self.apply(node, operator, at(0))]
        if operator is None:
            rows = [self.apply(node, None, at(t)) for t in range(steps)]
            return [torch.stack(list(column)) for column in zip(*rows, strict=True)]
        if (lifted := self._lifted(Call(node, operator, operands, varying, steps))) is not None:
            return lifted
        present = {i: x for i, x in enumerate(operands) if x is not None}
        axes = tuple(0 if i in varying else None for i in present)

        def call(*tensors: Tensor) -> tuple[Tensor, ...]:
            full: Operands = [None] * len(operands)
            for i, x in zip(present, tensors, strict=True):
                full[i] = x
            return tuple(self.apply(node, operator, full))

        try:
            return list(torch.vmap(call, in_dims=axes)(*present.values()))
        except ModelError:  # an operand that is read as numbers changes over time
            rows = [self.apply(node, operator, at(t)) for t in range(steps)]
            return [torch.stack(list(column)) for column in zip(*rows, strict=True)]
