"""The instruction for sums over the taps of pixels: of any numbers, or of binary spikes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from onnx2snn.runtime.program.geometry import Kind, tables, together
from onnx2snn.runtime.program.quads_source import QUAD
from onnx2snn.runtime.program.signal import Signal
from onnx2snn.runtime.program.writer import Place, Word, Writer, at

# Rows of a time step that repay tables.
LEAST_ROWS = 32
# Codes of several images that a thread works on; those of a single one may be more.
MOST_CODES = 1 << 15
# Codes in the room of a number.
CODES = 2
# Spikes are looked up in bytes.
BYTE = 8


@dataclass(frozen=True)
class Sums:
    """Sums over taps, as kernels read them (`product_source`).

    images: of all time steps, `stride` numbers apart, their results `spread`.
    bunch:  images that share panels of weights.
    pixel:  numbers of a pixel, as many as lie between it and the next one.
    depth:  numbers of a tap, `step` apart.
    """

    images: int
    stride: int
    spread: int
    bunch: int
    pixel: int
    taps: int
    depth: int
    step: int
    groups: int
    columns: int

    def emit(
        self, writer: Writer, kinds: Sequence[Kind], signal: Signal, weights: int, result: Signal
    ) -> None:
        """Append the instruction that reads one signal and writes the other."""
        batch, constants = self.images // writer.steps, tables(writer, kinds)
        rows = batch * self.spread // (self.groups * self.columns)
        if self.of_spikes(signal) and rows >= LEAST_ROWS:
            self._look_up(writer, len(kinds), constants, signal, weights, result)
            return
        shared = (self.bunch, together(self.taps * self.depth), len(kinds))
        sizes = (self.taps, self.depth, self.step, self.groups, self.columns)
        words = (self.images, self.stride, self.spread, *shared, *sizes, *constants)
        kernel = "quads" if self.of_spikes(signal) else "product"
        writer.emit(kernel, *words, at(signal), weights, at(result))

    def of_spikes(self, signal: Signal) -> bool:
        """Whether numbers are binary spikes, side by side, weighted alike at all pixels.

        Then they are added up in one way, however many samples there are.
        """
        spikes = signal.buffer.spikes
        if spikes is None or self.pixel % spikes.period or self.pixel % BYTE or self.depth % QUAD:
            return False
        return self.step == 1 and signal.whole and self.images * self.stride == signal.buffer.size

    def _look_up(
        self,
        writer: Writer,
        kinds: int,
        constants: Sequence[int],
        signal: Signal,
        weights: int,
        result: Signal,
    ) -> None:
        spikes = signal.buffer.spikes
        assert spikes is not None
        images = (self.images, self.stride, self.spread, self.images // writer.steps)
        sizes = (kinds, self.taps, self.depth, self.groups, self.columns)
        step_sizes = (writer.constant(spikes.step_sizes), spikes.step_sizes.shape[1])
        factor = (0, QUAD)
        if spikes.factor is not None:
            whole = spikes.factor.repeat(QUAD // gcd(QUAD, spikes.factor.numel()))
            factor = (writer.constant(whole), whole.numel())
        room = max(self.stride // QUAD, MOST_CODES)
        codes = Place(writer.room(writer.parts * room // CODES), 0)
        places: tuple[Word, ...] = (Place(spikes.bits, 0), weights, at(result))
        weighing: tuple[Word, ...] = (*step_sizes, writer.slots.time, *factor)
        words = (*images, *sizes, *constants, *places, *weighing, codes, room)
        writer.emit("lookup", *words)
