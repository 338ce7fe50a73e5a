"""Products with a constant matrix, laid out for oneDNN once instead of at every call."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# Rows that the layout is chosen for; any number runs.
_ROWS = 4096


Product = Callable[[Tensor], Tensor]


def packed_product(weight: Tensor, plain: Product) -> Product:
    """x -> x weight^T, for a constant `weight` of shape [outputs, inputs].

    plain: the same product as PyTorch has it, for other devices and formats and for gradients.
    """
    packed = _packed(weight.contiguous())
    if packed is None:
        return plain
    multiply = torch.ops.mkldnn._linear_pointwise.default

    def product(x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return plain(x)
        result: Tensor = multiply(x, packed, None, "none", [], "")
        return result

    return product


def _packed(weight: Tensor) -> Tensor | None:
    """The weight in oneDNN's own layout; None where this PyTorch has none for it."""
    suits = weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.numel() > 0
    if not suits or not torch._C._has_mkldnn:
        return None
    try:
        with torch.no_grad():
            packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
            torch.ops.mkldnn._linear_pointwise(weight[:1], packed, None, "none", [], "")
    except (AttributeError, RuntimeError):
        return None
    return packed
