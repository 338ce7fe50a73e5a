"""Instructions for linear steps: each emitter does for a block what the step's binding does."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from onnx2snn.ops.node import Node
from onnx2snn.runtime.linear.arguments import axes_of, integers
from onnx2snn.runtime.linear.product import normalisation
from onnx2snn.runtime.program.convolution import average, convolution, transposed_convolution
from onnx2snn.runtime.program.gather import gathered
from onnx2snn.runtime.program.moves import copied, joined, pointwise
from onnx2snn.runtime.program.product import gemm, matmul
from onnx2snn.runtime.program.resize import is_interpolation, resized
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
    moving = {position for position, _ in step.binding.signals}
    signals = iter(step.signals)
    parts: list[Signal | Tensor] = []
    for i, x in enumerate(step.binding.operands):
        if i in moving:
            parts.append(next(signals))
        elif x is not None:
            parts.append(torch.zeros(()).expand(writer.steps, *x.shape))
    return joined(writer, parts, step.node.attributes["axis"] % rank + 1)


def _negated(writer: Writer, step: BoundStep) -> Signal:
    return pointwise(writer, "multiply", step.signal, torch.tensor(-1.0))


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
    "ConvTranspose": transposed_convolution,
    "Gemm": gemm,
    "MatMul": matmul,
    "Neg": _negated,
}
# Operators that do no arithmetic, but for some forms of Resize.
_GATHERED = frozenset(
    {
        *("DepthToSpace", "Expand", "Gather", "GatherElements", "GatherND", "Pad", "Resize"),
        *("ReverseSequence", "SpaceToDepth", "Split", "Tile", "Trilu"),
    }
)


def is_known(node: Node) -> bool:
    """Whether there may be an instruction for a node."""
    return node.op_type in BY_OP_TYPE or node.op_type in _GATHERED


def emitted(writer: Writer, step: BoundStep) -> list[Signal]:
    """The results of a step; UnsupportedError where there is no instruction for it."""
    if step.binding.transparent:
        return [step.signals[0]]
    if is_interpolation(step.node):
        return [resized(writer, step)]
    if step.node.op_type in _GATHERED:
        return gathered(writer, step)
    emit = BY_OP_TYPE.get(step.node.op_type)
    if emit is None or step.binding.apply is None or len(step.node.outputs) != 1:
        raise UnsupportedError(step.node.op_type)
    return [emit(writer, step)]
