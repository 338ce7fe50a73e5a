"""Convolutions, forward and transposed, over one to three spatial axes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor
from torch.nn import functional as F

from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.linear.arguments import (
    begin_end,
    choice,
    needed,
    optional,
    per_axis,
    spatial_rank,
)
from onnx2snn.runtime.linear.record import Attributes, LinearOperator, Operands

CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)
_TRANSPOSED = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
AUTO_PAD = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


def window_pads(
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    attributes: Attributes,
) -> list[int]:
    """Pads [b1, b2, ..., e1, e2, ...] of a sliding window, from `auto_pad` or `pads`.

    SAME: ceil(size / stride) windows; an odd pad goes to the end (UPPER) or begin (LOWER).
    """
    rank = len(sizes)
    auto_pad = choice(attributes, "auto_pad", AUTO_PAD)
    if auto_pad == "NOTSET":
        return per_axis(attributes, "pads", 2 * rank, 0)
    if auto_pad == "VALID":
        return [0] * (2 * rank)
    totals = [
        max((-(-size // stride) - 1) * stride + (width - 1) * dilation + 1 - size, 0)
        for size, width, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True)
    ]
    return _halves(totals, odd_at_end=auto_pad == "SAME_UPPER")


def _halves(totals: Sequence[int], odd_at_end: bool) -> list[int]:
    small = [total // 2 for total in totals]
    large = [total - total // 2 for total in totals]
    return small + large if odd_at_end else large + small


def _conv(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Conv-22: y = w * x + b, a correlation per group."""
    data, weight, bias = needed(operands, 0), needed(operands, 1), optional(operands, 2)
    rank = spatial_rank(data)
    strides = per_axis(attributes, "strides", rank, 1)
    dilations = per_axis(attributes, "dilations", rank, 1)
    pads = window_pads(data.shape[2:], weight.shape[2:], strides, dilations, attributes)
    if pads[:rank] != pads[rank:] or min(pads) < 0:
        data, pads = F.pad(data, begin_end(pads)), [0] * rank
    group = int(attributes.get("group", 1))
    return [CONVOLUTIONS[rank - 1](data, weight, bias, strides, pads[:rank], dilations, group)]


def _conv_macs(operands: Operands, results: Sequence[Tensor], attributes: Attributes) -> int:
    return results[0].numel() * prod(needed(operands, 1).shape[1:])


def _cut(
    whole: Sequence[int], sizes: Sequence[int], strides: Sequence[int], attributes: Attributes
) -> list[int]:
    """Pads that cut the `whole` output, from `output_shape`, `auto_pad` or `pads`."""
    rank = len(whole)
    auto_pad = choice(attributes, "auto_pad", AUTO_PAD)
    wanted = [int(size) for size in attributes.get("output_shape") or ()]
    if wanted:
        wanted = wanted[-rank:]
    elif auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        # As onnxruntime and ONNX's shape inference: never more than there is.
        wanted = [
            min(size * stride, full)
            for size, stride, full in zip(sizes, strides, whole, strict=True)
        ]
    elif auto_pad == "NOTSET":
        return per_axis(attributes, "pads", 2 * rank, 0)
    else:
        return [0] * (2 * rank)
    if len(wanted) != rank:
        raise ModelError(f"attribute 'output_shape' has {len(wanted)} entries, expected {rank}")
    totals = [size - target for size, target in zip(whole, wanted, strict=True)]
    return _halves(totals, odd_at_end=auto_pad == "SAME_UPPER")


def transposed_pads(
    sizes: Sequence[int], kernel: Sequence[int], attributes: Attributes
) -> list[int]:
    """Pads [b1, b2, ..., e1, e2, ...] that cut the result of a transposed convolution.

    Uncut, it has stride (n - 1) + output_padding + dilation (k - 1) + 1 places along an axis.
    """
    rank = len(sizes)
    strides = per_axis(attributes, "strides", rank, 1)
    dilations = per_axis(attributes, "dilations", rank, 1)
    extra = per_axis(attributes, "output_padding", rank, 0)
    whole = [
        stride * (size - 1) + added + dilation * (width - 1) + 1
        for size, stride, added, dilation, width in zip(
            sizes, strides, extra, dilations, kernel, strict=True
        )
    ]
    return _cut(whole, sizes, strides, attributes)


def _conv_transpose(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """ConvTranspose-22: the adjoint of Conv, plus bias."""
    data, weight, bias = needed(operands, 0), needed(operands, 1), optional(operands, 2)
    rank = spatial_rank(data)
    strides = per_axis(attributes, "strides", rank, 1)
    dilations = per_axis(attributes, "dilations", rank, 1)
    extra = per_axis(attributes, "output_padding", rank, 0)
    group = int(attributes.get("group", 1))
    pads = transposed_pads(data.shape[2:], weight.shape[2:], attributes)
    transpose = _TRANSPOSED[rank - 1]
    if pads[:rank] == pads[rank:] and min(pads) >= 0 and not any(extra):
        return [transpose(data, weight, bias, strides, pads[:rank], 0, group, dilations)]
    full = transpose(data, weight, None, strides, 0, 0, group, dilations)
    ends = [added - pad for added, pad in zip(extra, pads[rank:], strict=True)]
    cut = F.pad(full, begin_end([-pad for pad in pads[:rank]] + ends))
    return [cut if bias is None else cut + bias.reshape((-1,) + (1,) * rank)]


def _conv_transpose_macs(
    operands: Operands, results: Sequence[Tensor], attributes: Attributes
) -> int:
    return needed(operands, 0).numel() * prod(needed(operands, 1).shape[1:])


CONV_TRANSPOSE = LinearOperator(
    "ConvTranspose",
    _conv_transpose,
    factors=(0, 1),
    summands=(2,),
    batched=True,
    macs=_conv_transpose_macs,
)
CONVOLUTION = (
    LinearOperator("Conv", _conv, factors=(0, 1), summands=(2,), batched=True, macs=_conv_macs),
    CONV_TRANSPOSE,
)
