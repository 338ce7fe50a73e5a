"""ONNX nodes as NIR nodes: convolution, matrix product, average pooling, flattening, neurons."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnx2snn.neuromorphic.signal import ONE, Array, Signal
from onnx2snn.ops.node import Node

Add = Callable[[str, Any, Sequence[Signal]], str]


class CannotExpressError(Exception):
    """NIR has no node for it; the message says why."""


@dataclass(frozen=True)
class Context:
    """What a node needs to become one of NIR.

    nir:   the package.
    add:   adds a NIR node of a name, fed by signals; returns the name it got.
    array: the value of a constant.
    """

    nir: Any
    add: Add
    array: Callable[[str], Array]


def _window(node: Node, shape: tuple[int, ...]) -> tuple[list[int], list[int], list[int]]:
    """Strides, pads and dilations of a window over two axes; pads alike on both sides."""
    given = node.attributes
    if len(shape) != 3:
        raise CannotExpressError(f"its input has {len(shape) - 1} spatial axes, not 2")
    if given.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or given.get("ceil_mode", 0):
        raise CannotExpressError("its padding depends on the size of its input")
    pads = list(given.get("pads") or [0, 0, 0, 0])
    if pads[:2] != pads[2:]:
        raise CannotExpressError(f"its pads {pads} differ from side to side")
    return list(given.get("strides") or [1, 1]), pads[:2], list(given.get("dilations") or [1, 1])


def _size(n: int, kernel: int, stride: int, pad: int, dilation: int) -> int:
    return (n + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1


def _dense(weight: Array, groups: int) -> Array:
    """The weight with zeros between groups: nir 1.0 does not read grouped convolutions back."""
    if groups == 1:
        return weight
    outputs, inputs = len(weight) // groups, weight.shape[1]
    dense = np.zeros((len(weight), groups * inputs, *weight.shape[2:]), weight.dtype)
    for g in range(groups):
        rows = slice(g * outputs, (g + 1) * outputs)
        dense[rows, g * inputs : (g + 1) * inputs] = weight[rows]
    return dense


def conv(node: Node, x: Signal, context: Context) -> Signal:
    """Conv over two axes; the gain goes into the weights."""
    strides, pads, dilations = _window(node, x.shape)
    weight = _dense(context.array(node.inputs[1]), int(node.attributes.get("group", 1)))
    scaled = weight if x.gain is ONE else weight * x.by_channel.reshape(-1, 1, 1)
    bias = np.zeros(len(weight), weight.dtype)
    if len(node.inputs) > 2 and node.inputs[2]:
        bias = context.array(node.inputs[2])
    layer = context.nir.Conv2d(
        input_shape=x.shape[1:],
        weight=scaled,
        stride=tuple(strides),
        padding=tuple(pads),
        dilation=tuple(dilations),
        groups=1,
        bias=bias,
    )
    axes = zip(x.shape[1:], weight.shape[2:], strides, pads, dilations, strict=True)
    shape = (len(weight), *(_size(*axis) for axis in axes))
    return Signal((context.add(node.name, layer, [x]),), shape)


def gemm(node: Node, x: Signal, context: Context) -> Signal:
    """Gemm or MatMul by a constant matrix; the gain goes into the weights."""
    given, names = node.attributes, node.inputs
    weight = context.array(names[1])
    if len(x.shape) != 1 or weight.ndim != 2 or given.get("transA", 0):
        raise CannotExpressError("it multiplies other than one vector per sample by a matrix")
    weight = weight if given.get("transB", 0) else weight.T
    weight = weight * given.get("alpha", 1.0)
    weight = np.ascontiguousarray(weight if x.gain is ONE else weight * x.by_channel)
    if len(names) > 2 and names[2]:
        bias = context.array(names[2]).reshape(-1) * given.get("beta", 1.0)
        layer = context.nir.Affine(weight, np.array(np.broadcast_to(bias, (len(weight),))))
    else:
        layer = context.nir.Linear(weight)
    return Signal((context.add(node.name, layer, [x]),), (len(weight),))


def average_pool(node: Node, x: Signal, context: Context) -> Signal:
    """AveragePool over two axes."""
    strides, pads, dilations = _window(node, x.shape)
    if dilations != [1, 1] or (any(pads) and not node.attributes.get("count_include_pad", 0)):
        raise CannotExpressError("its windows are dilated or leave padding out of the mean")
    kernel = list(node.attributes["kernel_shape"])
    return _pooled(node, x, context, kernel, strides, pads)


def _pooled(
    node: Node, x: Signal, context: Context, kernel: list[int], strides: list[int], pads: list[int]
) -> Signal:
    layer = context.nir.AvgPool2d(np.array(kernel), np.array(strides), np.array(pads))
    axes = zip(x.shape[1:], kernel, strides, pads, (1, 1), strict=True)
    shape = (x.shape[0], *(_size(*axis) for axis in axes))
    return x.through(context.add(node.name, layer, [x]), shape)


def global_average_pool(node: Node, x: Signal, context: Context) -> Signal:
    """GlobalAveragePool over two axes."""
    _window(node, x.shape)
    return _pooled(node, x, context, list(x.shape[1:]), [1, 1], [0, 0])


def reduce_mean(node: Node, x: Signal, context: Context) -> Signal:
    """ReduceMean over both spatial axes."""
    rank = len(x.shape) + 1
    axes = context.array(node.inputs[1]).reshape(-1) if len(node.inputs) > 1 else np.array([])
    if rank != 4 or sorted(int(axis) % rank for axis in axes) != [2, 3]:
        raise CannotExpressError("it takes the mean over other than both spatial axes")
    pooled = global_average_pool(node, x, context)
    return pooled if node.attributes.get("keepdims", 1) else flatten(node, pooled, context)


def flatten(node: Node, x: Signal, context: Context) -> Signal:
    """All axes but that of the samples into one."""
    if len(x.shape) == 1:
        return x
    layer = context.nir.Flatten({"input": np.array(x.shape)}, start_dim=0, end_dim=-1)
    return x.flattened(context.add(f"{node.name}/flatten", layer, [x]))


def reshape(node: Node, x: Signal, context: Context) -> Signal:
    """Reshape to one row per sample."""
    wanted, size = context.array(node.inputs[1]).tolist(), int(np.prod(x.shape))
    if len(wanted) != 2 or wanted[1] not in (-1, size):
        raise CannotExpressError(f"it reshapes to {wanted}, not to one row per sample")
    return flatten(node, x, context)


def flatten_node(node: Node, x: Signal, context: Context) -> Signal:
    """Flatten behind the axis of the samples."""
    if node.attributes.get("axis", 1) != 1:
        raise CannotExpressError("it flattens the samples too")
    return flatten(node, x, context)


def squeeze(node: Node, x: Signal, context: Context) -> Signal:
    """Squeeze of spatial axes of size 1."""
    if any(size != 1 for size in x.shape[1:]):
        raise CannotExpressError("it drops other than all spatial axes")
    return flatten(node, x, context)


def identity(node: Node, x: Signal, context: Context) -> Signal:
    """Nothing happens."""
    return x


Layer = Callable[[Node, Signal, Context], Signal]
LAYERS: Mapping[str, Layer] = {
    "AveragePool": average_pool,
    "Cast": identity,
    "Conv": conv,
    "Dropout": identity,
    "Flatten": flatten_node,
    "Gemm": gemm,
    "GlobalAveragePool": global_average_pool,
    "Identity": identity,
    "MatMul": gemm,
    "ReduceMean": reduce_mean,
    "Reshape": reshape,
    "Squeeze": squeeze,
}
