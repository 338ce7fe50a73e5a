"""Rounding that lets gradients pass."""

from __future__ import annotations

import torch
from torch import Tensor


def rounded(x: Tensor) -> Tensor:
    """The nearest whole number, the even one of two; its gradient is taken for 1."""
    if not x.requires_grad:
        return torch.round(x)
    return x + (torch.round(x) - x).detach()


def wide(x: Tensor) -> Tensor:
    """`x` in single precision if it is half, in which whole numbers beyond 2048 have gaps."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
