"""Products and convolutions with constant weights, laid out for oneDNN once, not at every call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

# Rows that the layout is chosen for; any number runs.
_ROWS = 4096


Product = Callable[[Tensor], Tensor]


class Sliding(NamedTuple):
    """How a convolution moves over its input: attributes as PyTorch names them."""

    strides: Sequence[int]
    pads: Sequence[int]
    dilations: Sequence[int]
    groups: int


def packed_product(weight: Tensor, plain: Product) -> Product:
    """x -> x weight^T, for a constant `weight` of shape [outputs, inputs].

    plain: the same product as PyTorch has it, for other devices and formats and for gradients.
    """

    def pack() -> Product | None:
        packed = _packed(weight.contiguous())
        if packed is None:
            return None
        multiply = torch.ops.mkldnn._linear_pointwise.default
        return lambda x: multiply(x, packed, None, "none", [], "")

    return _once_needed(pack, plain)


def packed_convolution(
    weight: Tensor, sliding: Sliding, shape: torch.Size, plain: Product
) -> Product:
    """x -> the convolution of x with a constant `weight`, no bias; channels last in memory.

    shape: of x, [samples, channels, *space].
    plain: the same convolution as PyTorch has it.
    """
    settings = (sliding.pads, sliding.strides, sliding.dilations, sliding.groups)

    def pack() -> Product | None:
        packed = _packed_kernel(weight, settings, shape)
        if packed is None:
            return None
        convolve = torch.ops.mkldnn._convolution_pointwise.default
        return lambda x: convolve(x, packed, None, *settings, "none", [], "")

    return _once_needed(pack, plain)


def _once_needed(pack: Callable[[], Product | None], plain: Product) -> Product:
    """What `pack` makes, at the first call; `plain` if that is nothing or a gradient is wanted.

    Compiled programs hold weights of their own, and never call.
    """
    packed = cache(pack)

    def apply(x: Tensor) -> Tensor:
        found = None if torch.is_grad_enabled() else packed()
        return plain(x) if found is None else found(x)

    return apply


def _packed_kernel(
    weight: Tensor, settings: tuple[object, ...], shape: torch.Size
) -> Tensor | None:
    if not _suits(weight) or weight.dim() != 4:
        return None
    try:
        with torch.no_grad():
            packed: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
                weight.contiguous(), *settings, list(shape)
            )
            torch.ops.mkldnn._convolution_pointwise(
                weight.new_zeros((1, *shape[1:])), packed, None, *settings, "none", [], ""
            )
    except (AttributeError, RuntimeError):
        return None
    return packed


def _suits(weight: Tensor) -> bool:
    """Whether oneDNN may have a layout of its own for a weight."""
    fits = weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.numel() > 0
    return fits and bool(torch._C._has_mkldnn)


def _packed(weight: Tensor) -> Tensor | None:
    """The weight in oneDNN's own layout; None where this PyTorch has none for it."""
    if not _suits(weight):
        return None
    try:
        with torch.no_grad():
            packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
            torch.ops.mkldnn._linear_pointwise(weight[:1], packed, None, "none", [], "")
    except (AttributeError, RuntimeError):
        return None
    return packed
