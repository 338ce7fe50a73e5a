"""A linear step as the writer of a program sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from onnx2snn.ops.node import Node
from onnx2snn.runtime.binding import Binding
from onnx2snn.runtime.program.signal import Signal, UnsupportedError


@dataclass(frozen=True)
class BoundStep:
    """A bound step and its varying operands, in the order of the binding.

    result: shape of the result.
    """

    index: int
    node: Node
    binding: Binding
    signals: Sequence[Signal]
    result: torch.Size

    @property
    def signal(self) -> Signal:
        """The one operand that varies."""
        if len(self.signals) != 1:
            raise UnsupportedError("several varying operands")
        return self.signals[0]

    def constant(self, position: int) -> Tensor:
        """An operand that does not vary."""
        x = self.binding.operands[position]
        if x is None or x.dtype != torch.float32:
            raise UnsupportedError("an operand that is not of float32")
        return x
