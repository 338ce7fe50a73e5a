"""A compiled site kernel as a Python function on tensors."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from onnx2snn.ops.target import Target
from onnx2snn.runtime.fused.build import build
from onnx2snn.runtime.fused.c_source import FIRING, MOST_OPERANDS, c_source
from onnx2snn.runtime.fused.expression import trace

# Neurons times steps below which a second thread costs more than it brings.
ALONE = 1 << 15


@dataclass(frozen=True)
class Charge:
    """One operand of a site during a block; all tensors contiguous.

    current: x(t0), one value per `rows` neurons.
    changes: increments, shape [steps, current's size], from step `start` on; None if there are
             none.
    result:  where x after the block goes, None where nobody reads it.
    """

    current: Tensor
    rows: int
    changes: Tensor | None = None
    start: int = 0
    result: Tensor | None = None

    @property
    def stop(self) -> int:
        """The step after the last one with increments."""
        return self.start + (0 if self.changes is None else self.changes.shape[0])


@dataclass(frozen=True)
class SiteKernel:
    """Charge, fire and update over the steps of a block, in one pass over memory."""

    function: Callable[..., int]
    arity: int

    def __call__(
        self,
        charges: Sequence[Charge],
        estimates: Tensor,
        step_sizes: Tensor,
        thresholds: Tensor,
        part: tuple[int, int],
        increments: Tensor,
    ) -> int:
        """Run steps `part` of a block on `estimates`, in place; returns the number of spikes.

        step_sizes, thresholds: from the part's first step on, shape [steps, period].
        increments:             dv to be filled, shape [steps of the part, neurons].
        """
        moving = [c for c in charges if c.changes is not None]
        begin = min((part[0], *(c.start for c in moving)))
        end = max((part[1], *(c.stop for c in moving)))
        steps = end - begin
        threads = torch.get_num_threads() if steps * estimates.numel() > ALONE else 1
        return self.function(
            estimates.numel(),
            begin,
            end,
            *part,
            self._pointers([c.current for c in charges]),
            self._pointers([c.changes for c in charges]),
            self._pointers([c.result for c in charges]),
            self._integers([c.rows for c in charges]),
            self._integers([c.start for c in charges]),
            self._integers(
                [c.start + (0 if c.changes is None else len(c.changes)) for c in charges]
            ),
            self._integers([c.current.numel() for c in charges]),
            estimates.data_ptr(),
            step_sizes.data_ptr(),
            thresholds.data_ptr(),
            step_sizes.shape[1],
            increments.data_ptr(),
            threads,
        )

    def _pointers(self, tensors: Sequence[Tensor | None]) -> ctypes.Array[ctypes.c_void_p]:
        pointers = [None if t is None else t.data_ptr() for t in tensors]
        return (ctypes.c_void_p * self.arity)(*pointers)

    def _integers(self, values: Sequence[int]) -> ctypes.Array[ctypes.c_int64]:
        return (ctypes.c_int64 * self.arity)(*values)


_INTEGER, _POINTER = ctypes.c_int64, ctypes.c_void_p
_ARGUMENTS: tuple[Any, ...] = (*[_INTEGER] * 5, *[_POINTER] * 10, _INTEGER, _POINTER, ctypes.c_int)


def site_kernel(target: Target, alphabet: str) -> SiteKernel | None:
    """The kernel of a site, None where none can be made: eager code takes over."""
    if target.arity > MOST_OPERANDS or alphabet not in FIRING:
        return None
    expression = trace(target)
    return None if expression is None else _compiled(c_source(expression, alphabet), target.arity)


@cache
def _compiled(source: str, arity: int) -> SiteKernel | None:
    library = build(source)
    if library is None:
        return None
    function = library.site
    function.argtypes, function.restype = list(_ARGUMENTS), _INTEGER
    return SiteKernel(function, arity)
