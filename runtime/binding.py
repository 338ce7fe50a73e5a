"""What a linear step keeps of its operands at t = 0, for as long as they stay what they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from onnx2snn.runtime.bound import Bound, Form, bind
from onnx2snn.runtime.increments import increment_operands, is_transparent
from onnx2snn.runtime.nodes import Operands
from onnx2snn.runtime.plan import LinearStep


@dataclass(frozen=True)
class Binding:
    """A linear step with its constants and shapes; any simulation with the same ones shares it.

    constants:   operands that do not vary, None in place of the others.
    shapes:      of the varying operands, by position in ascending order.
    signals:     position and name of each of these.
    operands:    those for increments: constant summands removed, varying ones None.
    transparent: whether increments pass unchanged.
    synapses:    format in which increments are multiplied, None for their own.
    apply:       the increments of the result from those of the varying operands, None where
                 the node has to be looked at each time.
    """

    constants: Operands
    shapes: dict[int, torch.Size]
    signals: tuple[tuple[int, str], ...]
    operands: Operands
    transparent: bool
    synapses: torch.dtype | None
    apply: Bound | None

    def fits(self, operands: Operands) -> bool:
        """Whether these operands at t = 0 are the same constants and shapes."""
        return all(
            x is not None and x.shape == self.shapes[i] if i in self.shapes else x is kept
            for i, (x, kept) in enumerate(zip(operands, self.constants, strict=True))
        )


def bound_step(
    step: LinearStep, operands: Operands, results: Sequence[Tensor], synapses: torch.dtype | None
) -> Binding:
    """The binding of a step that was applied to `operands` at t = 0."""
    shapes = {i: x.shape for i in sorted(step.varying) if (x := operands[i]) is not None}
    increments = [_short(x, synapses) for x in increment_operands(step, operands)]
    form = Form(step.node, increments, shapes, results[0].shape)
    whole = all(x is None or x.is_floating_point() for i, x in enumerate(operands) if i in shapes)
    return Binding(
        constants=[None if i in shapes else x for i, x in enumerate(operands)],
        shapes=shapes,
        signals=tuple((i, step.node.inputs[i]) for i in shapes),
        operands=increments,
        transparent=is_transparent(step, operands, results),
        synapses=synapses,
        apply=bind(form) if whole and synapses is None else None,
    )


def _short(x: Tensor | None, synapses: torch.dtype | None) -> Tensor | None:
    return x if synapses is None or x is None or not x.is_floating_point() else x.to(synapses)
