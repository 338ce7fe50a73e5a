"""Instructions for linear steps: each emitter does for a block what the step's binding does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from onnx2snn.runtime.linear.arguments import axes_of, integers
from onnx2snn.runtime.linear.padding import FILL, padded_cells
from onnx2snn.runtime.linear.product import normalisation
from onnx2snn.runtime.program.convolution import average, convolution
from onnx2snn.runtime.program.moves import copied, joined, pointwise
from onnx2snn.runtime.program.product import gemm, matmul
from onnx2snn.runtime.program.signal import Signal, UnsupportedError, dense, merged, packed_like
from onnx2snn.runtime.program.step import BoundStep
from onnx2snn.runtime.program.writer import Writer, at

_TWO_SIGNALS = {"Add": "add", "Sum": "add", "Sub": "subtract"}
_ONE_FACTOR = {"Mul": "multiply", "Div": "divide"}


def _sum(writer: Writer, step: BoundStep) -> Signal:
    if len(step.signals) != 2:
        raise UnsupportedError("a sum of anything but two signals")
    a, b = step.signals
    return pointwise(writer, _TWO_SIGNALS[step.node.op_type], a, b)


def _scaling(writer: Writer, step: BoundStep) -> Signal:
    (position,) = step.binding.shapes
    factor = step.constant(1 - position)
    return pointwise(writer, _ONE_FACTOR[step.node.op_type], step.signal, factor)


def _normalised(writer: Writer, step: BoundStep) -> Signal:
    rank = step.signal.view.dim() - 1
    gain = normalisation(step.binding.operands, step.node.attributes, rank)
    return pointwise(writer, "multiply", step.signal, gain)


def _concat(writer: Writer, step: BoundStep) -> Signal:
    rank = step.signals[0].view.dim() - 1
    return joined(writer, step.signals, step.node.attributes["axis"] % rank + 1)


def _padded(writer: Writer, step: BoundStep) -> Signal:
    signal = step.signal
    shape, operands = signal.view.shape[1:], step.binding.operands
    for axis, cells in padded_cells(shape, operands, step.node.attributes).items():
        parts = [_stretch(signal, axis + 1, *stretch) for stretch in stretches(cells)]
        signal = joined(writer, parts, axis + 1)
    return signal


def stretches(cells: Sequence[int]) -> list[tuple[int, int, int]]:
    """Cells as stretches: the first one, how many, and 1 if others follow it, 0 if they are it."""
    found: list[tuple[int, int, int]] = []
    for cell in cells:
        first, count, step = found[-1] if found else (cell, 0, 0)
        apart = step if count > 1 else cell - first
        alike = (cell == FILL) == (first == FILL)
        if alike and apart in (0, 1) and cell == first + count * apart:
            found[-1:] = [(first, count + 1, apart)]
        else:
            found.append((cell, 1, 0))
    return found


def _stretch(signal: Signal, axis: int, first: int, count: int, step: int) -> Signal | Tensor:
    shape = (*signal.view.shape[:axis], count, *signal.view.shape[axis + 1 :])
    if first == FILL:
        return torch.zeros(()).expand(shape)
    return signal.seen(signal.view.narrow(axis, first, count if step else 1).expand(shape))


def _view(writer: Writer, step: BoundStep) -> Signal:
    apply = step.binding.apply
    assert apply is not None
    return step.signal.seen(apply(step.signal.view))


def _reshape(writer: Writer, step: BoundStep) -> Signal:
    signal, shape = step.signal, (writer.steps, *step.result)
    try:
        return signal.seen(signal.view.view(shape))
    except RuntimeError:
        whole = copied(writer, signal, dense(signal.view.shape))
        return whole.seen(whole.view.view(shape))


def _reduce(writer: Writer, step: BoundStep) -> Signal:
    signal = step.signal
    rank = signal.view.dim() - 1
    named = integers(step.binding.operands, 1) or []
    axes = sorted(i + 1 for i in axes_of(named, rank))
    summed = merged((signal.view,), axes)
    if len(summed.sizes) > 1:
        signal = copied(writer, signal, dense(signal.view.shape))
        summed = merged((signal.view,), axes)
    if len(summed.sizes) != 1:
        raise UnsupportedError("a sum over axes that lie apart")
    ends = signal.view[tuple(slice(0, 1) if i in axes else slice(None) for i in range(rank + 1))]
    result = writer.new(packed_like(ends))
    kept = [i for i in range(rank + 1) if i not in axes]
    words = merged((result.view, ends), kept, kept=1).words()
    count = summed.sizes[0] if step.node.op_type == "ReduceMean" else 1
    head = (summed.sizes[0], summed.strides[0][0], count)
    writer.emit("reduction", *head, *words, at(signal), at(result))
    if not step.node.attributes.get("keepdims", 1):
        return result.seen(result.view.squeeze(axes))
    return result


BY_OP_TYPE: dict[str, Callable[[Writer, BoundStep], Signal]] = {
    **dict.fromkeys(_TWO_SIGNALS, _sum),
    **dict.fromkeys(_ONE_FACTOR, _scaling),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _reshape),
    **dict.fromkeys(("ReduceMean", "ReduceSum"), _reduce),
    **dict.fromkeys(("Slice", "Transpose", "Window"), _view),
    "AveragePool": average,
    "BatchNormalization": _normalised,
    "Concat": _concat,
    "Conv": convolution,
    "Gemm": gemm,
    "MatMul": matmul,
    "Pad": _padded,
}


def emitted(writer: Writer, step: BoundStep) -> Signal:
    """The result of a step; UnsupportedError where there is no instruction for it."""
    if step.binding.transparent:
        return step.signals[0]
    emit = BY_OP_TYPE.get(step.node.op_type)
    if emit is None or step.binding.apply is None or len(step.node.outputs) != 1:
        raise UnsupportedError(step.node.op_type)
    return emit(writer, step)
