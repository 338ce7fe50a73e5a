"""Instructions for sites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from onnx2snn.runtime.fused.kernel import SiteKernel
from onnx2snn.runtime.fused.sites import FusedSites, Layout
from onnx2snn.runtime.plan import SiteStep
from onnx2snn.runtime.program.moves import kept, ordered
from onnx2snn.runtime.program.signal import Buffer, Signal, UnsupportedError, dense
from onnx2snn.runtime.program.writer import Place, Slot, Word, Writer, at


@dataclass(frozen=True)
class Operand:
    """What a site reads: its value before the block, changes, and where the new value goes.

    spare: where that is where others may still read the old one; None if it is in place.
    """

    slot: Slot
    rows: int = 1
    changes: Place | None = None
    steps: int = 0
    spare: Buffer | None = None

    @property
    def words(self) -> tuple[Word, ...]:
        """One entry for each of the kernel's lists."""
        result = self.slot.place if self.spare is None else Place(self.spare, 0)
        moving: tuple[Word, Word] = (0, 0) if self.changes is None else (self.changes, result)
        return (self.slot.place, *moving, self.rows, 0, self.steps, self.slot.size)


@dataclass(frozen=True)
class SiteWriter:
    """Writes instructions for sites of these kernels.

    shapes: of the tensors that vary.
    """

    fused: FusedSites
    shapes: Mapping[str, torch.Size]
    signals: Mapping[str, Signal]

    def write(self, writer: Writer, step: SiteStep, number: int) -> Signal:
        """The increments of a site; `number` is its place among all sites."""
        name, output = step.site.name, step.site.output
        shape = self.shapes[output]
        kernel, layout = self.fused.kernels.get(name), self.fused.layout(name, shape)
        if not isinstance(kernel, SiteKernel) or layout is None:
            raise UnsupportedError("a site without a kernel")
        operands = [self._operand(writer, x, layout, name) for x in step.site.operands]
        estimates = writer.slots.slot("estimate", output, shape, layout.order)
        result = writer.new(dense((writer.steps, *shape), (0, *(i + 1 for i in layout.order))))
        part = (0, writer.steps)
        writer.emit(
            kernel.address,
            *(estimates.size, *part, *part, layout.step_sizes.shape[1], 1, writer.slots.time),
            *(estimates.place, writer.constant(layout.step_sizes)),
            *(writer.constant(layout.thresholds), at(result)),
            *(word for words in zip(*(x.words for x in operands), strict=True) for word in words),
            spikes=writer.slots.spikes(number),
        )
        for operand in operands:
            if operand.spare is not None:
                kept(writer, operand.spare, operand.slot)
        return result

    def _operand(self, writer: Writer, name: str, layout: Layout, site: str) -> Operand:
        if name not in self.shapes:
            return Operand(writer.slots.slot("static", name, layout.shape, layout.order, site))
        shape = self.shapes[name]
        rows = layout.rows(shape)
        if not rows or name not in self.signals:
            raise UnsupportedError("an operand that the kernel cannot spread")
        slot = writer.slots.slot("value", name, shape, layout.order, site)
        signal = ordered(writer, self.signals[name], layout.order)
        spare = None if rows == 1 else writer.room(slot.size)
        return Operand(slot, rows, at(signal), writer.steps, spare)
