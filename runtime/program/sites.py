"""Instructions for sites."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from onnx2snn.runtime.fused.kernel import SiteKernel
from onnx2snn.runtime.fused.layout import Layout
from onnx2snn.runtime.fused.sites import FusedSites
from onnx2snn.runtime.plan import SiteStep
from onnx2snn.runtime.program.moves import kept, ordered
from onnx2snn.runtime.program.signal import Buffer, Signal, Spikes, UnsupportedError, dense
from onnx2snn.runtime.program.writer import Place, Slot, Wanted, Word, Writer, at


@dataclass(frozen=True)
class Operand:
    """What a site reads: its value before the block, changes, and where the new value goes.

    spare:   where that is where others may still read the old one; None if it is in place.
    reading: how windows lie in it, as arguments of the kernel, which then leaves the value alone.
    row:     how the kernel walks through its rows, likewise, where neurons see their whole row.
    """

    slot: Slot
    rows: int = 1
    changes: Place | None = None
    steps: int = 0
    spare: Buffer | None = None
    reading: tuple[Word, ...] = ()
    row: tuple[Word, ...] = ()

    @property
    def words(self) -> tuple[Word, ...]:
        """One entry for each of the kernel's lists."""
        result = self.slot.place if self.spare is None else Place(self.spare, 0)
        moving: tuple[Word, Word] = (0, 0) if self.changes is None else (self.changes, result)
        return (self.slot.place, *moving, self.rows, 0, self.steps, self.slot.size)


@dataclass(frozen=True)
class SiteWriter:
    """Writes instructions for sites of these kernels.

    shapes: of all tensors.
    values: of those that do not.
    """

    fused: FusedSites
    shapes: Mapping[str, torch.Size]
    signals: Mapping[str, Signal]
    values: Callable[[str], Tensor]

    def write(self, writer: Writer, step: SiteStep, number: int) -> Signal:
        """The increments of a site; `number` is its place among all sites."""
        name, output = step.site.name, step.site.output
        shape = self.shapes[output]
        kernel, layout = self.fused.kernels.get(name), self.fused.layout(name, shape)
        if not isinstance(kernel, SiteKernel) or layout is None:
            raise UnsupportedError("a site without a kernel")
        operands = [self._operand(writer, x, layout, step) for x in step.site.operands]
        estimates = writer.slots.slot("estimate", output, shape, layout.order)
        result = writer.new(dense((writer.steps, *shape), (0, *(i + 1 for i in layout.order))))
        part = (0, writer.steps)
        periods = (layout.step_sizes.shape[1], layout.thresholds.shape[1])
        bits: Word = 0
        if step.alphabet == "binary" and not any(n % 8 for n in (estimates.size, *periods)):
            room = writer.room(-(-writer.steps * estimates.size // 32))
            result.buffer.spikes = Spikes(room, layout.step_sizes, layout.period)
            bits = Wanted(room)
        writer.emit(
            kernel.address,
            *(estimates.size, *part, *part, *periods, 1, writer.slots.time),
            *(estimates.place, writer.constant(layout.step_sizes)),
            *(writer.constant(layout.thresholds), Wanted(result.buffer), bits),
            *(word for words in zip(*(x.words for x in operands), strict=True) for word in words),
            *(word for x in operands for word in (*x.reading, *x.row)),
            spikes=writer.slots.spikes(number),
        )
        for operand in operands:
            if operand.spare is not None:
                kept(writer, operand.spare, operand.slot)
            if operand.reading and operand.changes is not None:
                size, place = operand.slot.size, operand.slot.place
                writer.emit("integration", writer.steps, size, operand.changes, place)
        return result

    def _operand(self, writer: Writer, name: str, layout: Layout, step: SiteStep) -> Operand:
        site, static = step.site.name, name not in self.fused.plan.varying
        shape = self.values(name).shape if static else self.shapes[name]
        reading, row = self._reading(writer, shape, layout, step), _row(shape, layout, step)
        if static:
            spread = shape if reading else layout.shape
            order = layout.order_of(len(spread))
            slot = writer.slots.slot("static", name, spread, order, site)
            return Operand(slot, reading=reading, row=row)
        rows = 1 if reading else layout.rows(shape)
        if not rows or name not in self.signals:
            raise UnsupportedError("an operand that the kernel cannot spread")
        order = layout.order_of(len(shape))
        slot = writer.slots.slot("value", name, shape, order, site)
        signal = ordered(writer, self.signals[name], order)
        if reading:
            return Operand(slot, 1, at(signal), writer.steps, reading=reading)
        spare = None if rows == 1 else writer.room(slot.size)
        return Operand(slot, rows, at(signal), writer.steps, spare, row=row)

    def _reading(
        self, writer: Writer, shape: torch.Size, layout: Layout, step: SiteStep
    ) -> tuple[Word, ...]:
        """How what neurons see lies in a tensor; () where they do not see members of one."""
        if not step.site.target.sees_members:
            return ()
        found = layout.reading(step.site.target, shape, torch.device("cpu"))
        if found is None:
            raise UnsupportedError("members that the kernel cannot find")
        return (writer.constant(found.places), *found.words[1:])


def _row(shape: torch.Size, layout: Layout, step: SiteStep) -> tuple[Word, ...]:
    """How the kernel walks through rows; () where the target is no function of rows."""
    rowwise = step.site.target.rowwise
    if rowwise is None:
        return ()
    found = layout.row(rowwise.axes)
    if found is None or shape != layout.shape:
        raise UnsupportedError("rows that the kernel cannot walk through")
    return tuple(found)
