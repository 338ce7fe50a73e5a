"""A compiled site kernel as a Python function on tensors."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import lcm
from typing import NamedTuple

import torch
from torch import Tensor

from onnx2snn.ops.target import Folded, Target
from onnx2snn.runtime.fused.build import build
from onnx2snn.runtime.fused.c_source import FIRING, MOST_OPERANDS, c_source, folded_operands
from onnx2snn.runtime.fused.expression import trace
from onnx2snn.runtime.fused.operands_source import (
    CHUNK,
    LINE,
    LONGEST_CHUNK,
    OWN,
    ROOM,
    WINDOWED,
)
from onnx2snn.runtime.fused.rows_source import rows_of

# Neurons times steps below which a second thread costs more than it brings.
ALONE = 1 << 15


@dataclass(frozen=True)
class Reading:
    """Where neurons find the members of their windows in a tensor.

    Neuron n lies in run n // run, which is window n // run % W of one part of the tensor; member i
    is run places[i, w] of the `inside` runs of that part.

    places: shape [members, W], integers of 32 bits.
    """

    places: Tensor
    inside: int
    run: int

    @property
    def words(self) -> tuple[int, ...]:
        """Arguments of a kernel."""
        members, windows = self.places.shape
        chunk = min(CHUNK, ROOM // members // LINE * LINE)
        return self.places.data_ptr(), windows, self.inside, self.run, members, chunk


class Row(NamedTuple):
    """How kernels walk through neurons that see their whole row.

    length: of a row, which is contiguous.
    unit:   neurons that threads take or leave together: a multiple of rows and of lines.
    chunk:  neurons that a kernel takes at once.
    """

    length: int
    unit: int
    chunk: int

    @staticmethod
    def of(length: int) -> Row | None:
        """The walk through rows of a length; None where they are too long for a kernel."""
        unit = lcm(length, LINE)
        return Row(length, unit, max(1, CHUNK // unit) * unit) if unit <= LONGEST_CHUNK else None


@dataclass(frozen=True)
class Charge:
    """One operand of a site during a block; all tensors contiguous.

    current: x(t0), one value per `rows` neurons.
    changes: increments of current, time in front, from step `start` on; None if there are none.
    result:  where x after the block goes, None where nobody reads it.
    reading: how windows lie in it, where the target is a function of those. Kernels leave `result`
             to `settle` then.
    row:     what neurons see of it, where the target is a function of their whole row.
    """

    current: Tensor
    rows: int
    changes: Tensor | None = None
    start: int = 0
    result: Tensor | None = None
    reading: Reading | None = None
    row: Row | None = None

    @property
    def words(self) -> tuple[int, ...]:
        """Arguments of a kernel, behind those of every operand."""
        if self.row is not None:
            return self.row
        return () if self.reading is None else self.reading.words

    @property
    def stop(self) -> int:
        """The step after the last one with increments."""
        return self.start + (0 if self.changes is None else self.changes.shape[0])

    def settle(self) -> None:
        """Behind a kernel: x after the block, where windows keep it from being added up there."""
        if self.reading is None or self.result is None or self.changes is None:
            return
        for change in self.changes:
            self.result.add_(change)


@dataclass(frozen=True)
class SiteKernel:
    """Charge, fire and update over the steps of a block, in one pass over memory.

    function: runs a block of arguments, given its address.
    address:  of the function that runs one part of several of it.
    """

    function: Callable[[int], int]
    address: int

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

        step_sizes, thresholds: from the part's first step on, [steps, neurons of a period].
        increments:             dv to be filled, shape [steps of the part, neurons].
        """
        moving = [c for c in charges if c.changes is not None]
        begin = min((part[0], *(c.start for c in moving)))
        end = max((part[1], *(c.stop for c in moving)))
        neurons = estimates.numel()
        threads = torch.get_num_threads() if (end - begin) * neurons > ALONE else 1
        block = array(
            "q",
            (
                *(neurons, begin, end, *part, step_sizes.shape[1], thresholds.shape[1], threads, 0),
                *(estimates.data_ptr(), step_sizes.data_ptr(), thresholds.data_ptr()),
                *(increments.data_ptr(), 0),
                *(c.current.data_ptr() for c in charges),
                *(0 if c.changes is None else c.changes.data_ptr() for c in charges),
                *(0 if c.result is None else c.result.data_ptr() for c in charges),
                *(c.rows for c in charges),
                *(c.start for c in charges),
                *(c.stop for c in charges),
                *(c.current.numel() for c in charges),
                *(word for c in charges for word in c.words),
            ),
        )
        return self.function(block.buffer_info()[0])


def site_kernel(target: Target, alphabet: str) -> SiteKernel | None:
    """The kernel of a site, None where none can be made: eager code takes over."""
    if alphabet not in FIRING:
        return None
    over, rowwise = target.over_members, target.rowwise
    expression = trace(over) if over.arity <= MOST_OPERANDS else None
    if expression is None:
        return _folding(target.folded, alphabet)
    if rowwise is not None:
        return _compiled(c_source(expression, alphabet, rows_of(rowwise)))
    return _compiled(c_source(expression, alphabet, OWN if over is target else WINDOWED))


def _folding(fold: Folded | None, alphabet: str) -> SiteKernel | None:
    """The kernel of a site whose neurons fold any number of members."""
    if fold is None:
        return None
    each, expression = trace(fold.each), trace(fold.function)
    if each is None or expression is None:
        return None
    return _compiled(c_source(expression, alphabet, folded_operands(each, fold.combine)))


@cache
def _compiled(source: str) -> SiteKernel | None:
    library = build(source)
    if library is None:
        return None
    function = library.site
    function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_int64
    address = ctypes.cast(library.site_part, ctypes.c_void_p).value
    assert address is not None
    return SiteKernel(function, address)
