"""Linear nodes bound to their constants and shapes: what a step does is decided once.

A bound node is a function from the increments of its varying operands, each with a leading time
axis, to those of its result. Binding reads attributes, aligns axes and packs weights, so that
what is left for a block of time steps is a call or two of PyTorch. `runtime.lifted` does the
same for any node, and looks everything up again each time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import linear, pad

from onnx2snn.ops.errors import Onnx2SnnError
from onnx2snn.ops.node import Node
from onnx2snn.runtime.linear.arguments import axes_of, begin_end, integers, per_axis
from onnx2snn.runtime.linear.convolution import CONV_TRANSPOSE, CONVOLUTIONS, window_pads
from onnx2snn.runtime.linear.indexing import cuts
from onnx2snn.runtime.linear.padding import copied, is_constant, padded_cells, zero_padded
from onnx2snn.runtime.linear.pooling import AVERAGE_POOL
from onnx2snn.runtime.linear.product import normalisation
from onnx2snn.runtime.linear.window import taken_index
from onnx2snn.runtime.nodes import Operands
from onnx2snn.runtime.packed import Sliding, packed_convolution, packed_product

Bound = Callable[..., Tensor]


@dataclass(frozen=True)
class Form:
    """A node as it was applied at t = 0.

    operands: those for increments: constant summands removed, varying ones None.
    shapes:   of the varying operands, by position.
    result:   shape of the result.
    """

    node: Node
    operands: Operands
    shapes: dict[int, torch.Size]
    result: torch.Size

    @property
    def signal(self) -> torch.Size | None:
        """Shape of operand 0 where only that varies, None elsewhere."""
        return self.shapes.get(0) if len(self.shapes) == 1 else None


def _conv(form: Form) -> Bound | None:
    shape, weight, attributes = form.signal, form.operands[1], form.node.attributes
    if shape is None or weight is None:
        return None
    rank = len(shape) - 2
    strides = per_axis(attributes, "strides", rank, 1)
    dilations = per_axis(attributes, "dilations", rank, 1)
    pads = window_pads(shape[2:], weight.shape[2:], strides, dilations, attributes)
    beside = [] if pads[:rank] == pads[rank:] and min(pads) >= 0 else begin_end(pads)
    if beside:
        shape, pads = pad(torch.empty(shape, device="meta"), beside).shape, [0] * rank
    sliding = Sliding(strides, pads[:rank], dilations, int(attributes.get("group", 1)))
    plain = CONVOLUTIONS[rank - 1]
    convolve = packed_convolution(
        weight, sliding, shape, lambda x: plain(x, weight, None, *sliding)
    )

    def conv(x: Tensor) -> Tensor:
        flat = x.flatten(0, 1)
        result = convolve(pad(flat, beside) if beside else flat)
        return result.view(*x.shape[:2], *result.shape[1:])

    return conv


def _conv_transpose(form: Form) -> Bound | None:
    weight, attributes = form.operands[1], form.node.attributes
    if form.signal is None or weight is None:
        return None

    def convolve(x: Tensor) -> Tensor:
        (result,) = CONV_TRANSPOSE.apply([x.flatten(0, 1), weight], attributes)
        return result.view(*x.shape[:2], *result.shape[1:])

    return convolve


def _matmul(form: Form) -> Bound | None:
    weight = form.operands[1] if form.signal is not None else None
    if weight is None or weight.dim() != 2 or len(form.shapes[0]) < 2:
        return None
    return packed_product(weight.t(), lambda x: x @ weight)


def _gemm(form: Form) -> Bound | None:
    weight, attributes = form.operands[1], form.node.attributes
    plain = attributes.get("alpha", 1.0) == 1.0 and not attributes.get("transA", 0)
    if form.signal is None or weight is None or not plain:
        return None
    if len(form.operands) > 2 and form.operands[2] is not None:
        return None
    if attributes.get("transB", 0):
        return packed_product(weight, lambda x: linear(x, weight))
    return packed_product(weight.t(), lambda x: x @ weight)


def _scaling(form: Form) -> Bound | None:
    (position, shape), *others = form.shapes.items()
    factor = None if others else form.operands[1 - position]
    if factor is None or factor.dim() > len(shape):
        return None
    if form.node.op_type == "Div":
        return (lambda x: x / factor) if position == 0 else None
    return lambda x: x * factor


def _sum(form: Form) -> Bound | None:
    if len(form.operands) != 2 or len({len(shape) for shape in form.shapes.values()}) != 1:
        return None
    if len(form.shapes) != 2:
        return None
    return torch.sub if form.node.op_type == "Sub" else torch.add


def _transpose(form: Form) -> Bound | None:
    (shape,) = form.shapes.values()
    order = form.node.attributes.get("perm") or range(len(shape))[::-1]
    lifted = (0, *(i + 1 for i in order))
    return lambda x: x.permute(lifted)


def _reshape(form: Form) -> Bound | None:
    return None if form.signal is None else lambda x: x.reshape(x.shape[0], *form.result)


def _reduce(form: Form) -> Bound | None:
    named = integers(form.operands, 1)
    if form.signal is None or not named:
        return None
    axes = [i + 1 for i in axes_of(named, len(form.signal))]
    keep = bool(form.node.attributes.get("keepdims", 1))
    reduce = torch.mean if form.node.op_type == "ReduceMean" else torch.sum
    return lambda x: reduce(x, dim=axes, keepdim=keep)


def _window(form: Form) -> Bound | None:
    if form.signal is None:
        return None
    axis = form.node.attributes["axis"] % len(form.signal)
    index = taken_index(form.signal[axis], form.node.attributes, "cpu")
    if not isinstance(index, slice):
        return None
    place = (*(slice(None),) * (axis + 1), index)
    return lambda x: x[place]


def _concat(form: Form) -> Bound | None:
    """Time and samples are one axis meanwhile: PyTorch then keeps channels last in memory."""
    constants = {i: x.shape for i, x in enumerate(form.operands) if x is not None}
    ranks = {len(shape) for shape in (*form.shapes.values(), *constants.values())}
    if len(form.shapes) + len(constants) < len(form.operands) or len(ranks) != 1:
        return None
    axis = form.node.attributes["axis"] % ranks.pop()

    def concat(*moving: Tensor) -> Tensor:
        (steps, samples), parts = moving[0].shape[:2], list(moving)
        for i, shape in sorted(constants.items()):
            parts.insert(i, parts[0].new_zeros(()).expand(steps, *shape))
        if axis == 0:
            return torch.cat(parts, 1)
        result = torch.cat([x.flatten(0, 1) for x in parts], axis)
        return result.view(steps, samples, *result.shape[1:])

    return concat


def _negated(form: Form) -> Bound:
    return torch.neg


def _padded(form: Form) -> Bound | None:
    shape, operands = form.signal, form.operands
    if shape is None:
        return None
    if is_constant(form.node.attributes):
        return lambda x: zero_padded(x, shape, operands)
    cells = padded_cells(shape, operands, form.node.attributes)
    return lambda x: copied(x, cells, first=1)


def _slice(form: Form) -> Bound | None:
    if form.signal is None:
        return None
    cut, reverse = cuts(form.operands, form.signal)
    place = (slice(None), *cut)
    return None if reverse else lambda x: x[place]


def _normalised(form: Form) -> Bound | None:
    if form.signal is None:
        return None
    gain = normalisation(form.operands, form.node.attributes, len(form.signal))
    return lambda x: x * gain


def _averaged(form: Form) -> Bound | None:
    if form.signal is None:
        return None

    def average(x: Tensor) -> Tensor:
        (result,) = AVERAGE_POOL.apply([x.flatten(0, 1)], form.node.attributes)
        return result.view(*x.shape[:2], *result.shape[1:])

    return average


_BINDERS: dict[str, Callable[[Form], Bound | None]] = {
    **dict.fromkeys(("Add", "Sub", "Sum"), _sum),
    **dict.fromkeys(("Mul", "Div"), _scaling),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _reshape),
    **dict.fromkeys(("ReduceMean", "ReduceSum"), _reduce),
    "AveragePool": _averaged,
    "BatchNormalization": _normalised,
    "Concat": _concat,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Neg": _negated,
    "Pad": _padded,
    "Slice": _slice,
    "Transpose": _transpose,
    "Window": _window,
}


def bind(form: Form) -> Bound | None:
    """The node as a function of its increments; None where it must be looked at each time."""
    binder = _BINDERS.get(form.node.op_type)
    try:
        return None if binder is None else binder(form)
    except (Onnx2SnnError, RuntimeError, IndexError, ValueError, TypeError):
        return None
