"""What a linear step keeps of its operands at t = 0, for as long as they stay what they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    whole:       whether all varying operands are numbers with a fraction.
    result:      shape of the first result.
    apply:       the increments of the result from those of the varying operands, None where
                 the node has to be looked at each time.
    """

    constants: Operands
    shapes: dict[int, torch.Size]
    signals: tuple[tuple[int, str], ...]
    operands: Operands
    transparent: bool
    synapses: torch.dtype | None
    whole: bool
    result: torch.Size
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
    whole = all(x is None or x.is_floating_point() for i, x in enumerate(operands) if i in shapes)
    unbound = Binding(
        constants=[None if i in shapes else x for i, x in enumerate(operands)],
        shapes=shapes,
        signals=tuple((i, step.node.inputs[i]) for i in shapes),
        operands=[],
        transparent=is_transparent(step, operands, results),
        synapses=synapses,
        whole=whole,
        result=results[0].shape,
        apply=None,
    )
    return rebound(step, unbound, unbound.constants)


def rebound(step: LinearStep, known: Binding, constants: Operands) -> Binding:
    """The same binding to constants of the same shapes."""
    increments = [_short(x, known.synapses) for x in increment_operands(step, constants)]
    form = Form(step.node, increments, known.shapes, known.result)
    apply = bind(form) if known.whole and known.synapses is None else None
    return replace(known, constants=constants, operands=increments, apply=apply)


def _short(x: Tensor | None, synapses: torch.dtype | None) -> Tensor | None:
    return x if synapses is None or x is None or not x.is_floating_point() else x.to(synapses)
