"""LpPool (ONNX LpPool-18) and GlobalLpPool (ONNX GlobalLpPool-2): f(x) = (sum |x|^p)^(1/p).

One site, whose neurons see their whole window. What lies in the padding counts as 0.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.operator import Attribute, SpikingOperator, unary
from onnx2snn.ops.target import Target


def _norm(x: Tensor, p: int, axes: Sequence[int]) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(x, p, tuple(axes))
    return norm


def _pads(
    size: int, reach: int, stride: int, given: tuple[int, int], auto_pad: str, ceil_mode: int
) -> tuple[int, int]:
    """Zeros before and after an axis, so that the windows of `reach` cells fill it."""
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        small = total // 2
        return (small, total - small) if auto_pad == "SAME_UPPER" else (total - small, small)
    before, after = given if auto_pad == "NOTSET" else (0, 0)
    room = size + before + after - reach
    if room < 0:
        raise ModelError(f"a pooling window is larger than its padded input of {size}")
    count = -(-room // stride) + 1 if ceil_mode else room // stride + 1
    if ceil_mode and (count - 1) * stride >= size + before:
        count -= 1
    return before, after + max((count - 1) * stride + reach - size - before - after, 0)


def lp_pool(
    kernel_shape: list[int] | None,
    strides: list[int] | None,
    dilations: list[int] | None,
    pads: list[int] | None,
    auto_pad: str,
    ceil_mode: int,
    p: int,
) -> Target:
    """f(x) = (sum of |x|^p over each window)^(1/p)."""
    if not kernel_shape or min(kernel_shape) < 1 or p < 1:
        raise ModelError(f"kernel_shape {kernel_shape} and p {p} must be positive")
    rank = len(kernel_shape)
    steps, gaps = strides or [1] * rank, dilations or [1] * rank
    given = pads or [0] * (2 * rank)
    if (len(steps), len(gaps), len(given)) != (rank, rank, 2 * rank):
        raise ModelError(f"strides, dilations and pads do not fit a kernel of {rank} axes")

    def function(x: Tensor) -> Tensor:
        for i, kernel in enumerate(kernel_shape):
            reach, axis = (kernel - 1) * gaps[i] + 1, i - rank
            size, own = x.shape[2 + i], (given[i], given[i + rank])
            before, after = _pads(size, reach, steps[i], own, auto_pad, ceil_mode)
            x = torch.nn.functional.pad(x, [0, 0] * (-axis - 1) + [before, after])
        for i, kernel in enumerate(kernel_shape):
            reach = (kernel - 1) * gaps[i] + 1
            x = x.unfold(2 + i, reach, steps[i])[..., :: gaps[i]]
        return _norm(x, p, range(-rank, 0))

    return Target(f"lp_pool(kernel={kernel_shape}, p={p})", 1, function)


def global_lp_pool(p: int) -> Target:
    """f(x) = (sum of |x|^p over all spatial positions)^(1/p), axes kept with size 1."""
    if p < 1:
        raise ModelError(f"attribute 'p' is {p}; it must be positive")

    def function(x: Tensor) -> Tensor:
        norm = _norm(x, p, range(2, x.ndim))
        return norm.reshape(*norm.shape, *(1 for _ in x.shape[2:]))

    return Target(f"global_lp_pool(p={p})", 1, function)


LP_POOL = SpikingOperator(
    source="LpPool",
    equation="f(x)_i = (sum of |x|^p over the window at i)^(1/p)",
    build=unary(
        lp_pool,
        *("kernel_shape", "strides", "dilations", "pads", "auto_pad", "ceil_mode", "p"),
    ),
    attributes=(
        Attribute("auto_pad", "string", "NOTSET", ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")),
        Attribute("ceil_mode", "int", 0),
        Attribute("dilations", "ints"),
        Attribute("kernel_shape", "ints"),
        Attribute("p", "int", 2),
        Attribute("pads", "ints"),
        Attribute("strides", "ints"),
    ),
)
GLOBAL_LP_POOL = SpikingOperator(
    source="GlobalLpPool",
    equation="f(x) = (sum of |x|^p over all spatial positions)^(1/p)",
    build=unary(global_lp_pool, "p"),
    attributes=(Attribute("p", "int", 2),),
)
