"""One row or several per spiking operator: operands, attributes, and where it is at home."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_RNG = np.random.default_rng(20240702)


@dataclass(frozen=True)
class Row:
    """A source node with its operands.

    operands:   arrays, None where an optional operand is absent.
    attributes: of the ONNX source node.
    extra:      attributes that only the spiking node has.
    domain:     maps unit normal numbers into the range the operator is measured on.
    shape:      of one sample when the claim is measured; the channel axis comes last.
    """

    source: str
    operands: tuple[Array | None, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    domain: Callable[[Array], Array] = lambda x: x
    shape: tuple[int, ...] = (16, 4)

    def __str__(self) -> str:
        shown = [f"{k}={v}" for k, v in {**self.attributes, **self.extra}.items()]
        shapes = ["absent" if a is None else "x".join(map(str, a.shape)) for a in self.operands]
        return ",".join([self.source, *shapes, *shown]).replace(" ", "")


def f(*shape: int) -> Array:
    """Unit normal numbers, twice as wide."""
    return (2 * _RNG.standard_normal(shape)).astype(np.float32)


def bound(value: float) -> Array:
    """A scalar operand."""
    return np.array(value, np.float32)


def positive(low: float) -> Callable[[Array], Array]:
    """|x| + low."""
    return lambda x: (np.abs(x) + low).astype(np.float32)


def unary(source: str, **attributes: Any) -> Row:
    return Row(source, (f(3, 7),), attributes)


def within(source: str, low: float) -> Row:
    return Row(source, (positive(low)(f(3, 7)),), domain=positive(low))


def masked(scores: Array, low: np.float32) -> Array:
    """Scores whose last two columns are masked by a summand."""
    columns = np.arange(scores.shape[-1])
    return np.where(columns < scores.shape[-1] - 2, scores, scores + low).astype(np.float32)


def pool(*shape: int, sites: str = "fused", **attributes: Any) -> Row:
    return Row("MaxPool", (f(*shape),), attributes, {"sites": sites}, shape=(3, 6, 6))


def global_pool(*shape: int, sites: str = "fused") -> Row:
    extra = {"extents": list(shape[2:]), "sites": sites}
    return Row("GlobalMaxPool", (f(*shape),), {}, extra, shape=(3, *shape[2:]))


def staircase(x: Array, scale: Any, zero: int) -> Row:
    """QuantizeLinear to 8 bits without sign, and back."""
    bounds = [np.array(limit - zero, np.float32) for limit in (0, 255)]
    return Row("FakeQuantize", (x, np.asarray(scale, np.float32), *bounds))


def layer_norm(shape: tuple[int, ...], axis: int, bias: bool, sites: str, **more: Any) -> Row:
    operands = (f(*shape), f(*shape[axis:]), f(*shape[axis:]) if bias else None)
    return Row(
        "LayerNormalization", operands, {"axis": axis, **more}, {"sites": sites}, shape=(32,)
    )


# The first row of every operator is the one whose claim is measured.
ROWS = [
    unary("Abs"),
    unary("Atan"),
    unary("Celu"),
    unary("Celu", alpha=0.4),
    Row("Clip", (f(3, 7), bound(-0.5), bound(0.8))),
    Row("Clip", (f(3, 7), bound(-0.5), None)),
    Row("Clip", (f(3, 7), None, bound(0.8))),
    Row("Clip", (f(3, 7), None, None)),
    Row("Clip", (f(3, 7), bound(1), bound(-1))),
    unary("Cos"),
    Row("DynamicFakeQuantize", (f(1, 3, 7),), {}, {"axes": [-2, -1]}),
    Row("DynamicFakeQuantize", (np.zeros((1, 5), np.float32),), {}, {"axes": [-1]}),
    Row("DynamicFakeQuantize", (np.abs(f(1, 5)),), {}, {"axes": [-1]}),
    unary("Elu"),
    unary("Elu", alpha=0.3),
    unary("Erf"),
    unary("Exp"),
    staircase(f(3, 7), 0.03, 120),
    staircase(f(3, 7), 0.05, 0),
    staircase(f(2, 4, 3), np.array([[0.1], [0.02], [0.3], [0.5]]), 7),
    unary("Gelu"),
    unary("Gelu", approximate="tanh"),
    global_pool(2, 3, 5, 4),
    global_pool(2, 3, 7),
    global_pool(2, 3, 5, 4, sites="tree"),
    global_pool(1, 2, 3, 1, 5),
    unary("HardSigmoid"),
    unary("HardSigmoid", alpha=0.3, beta=0.1),
    unary("HardSwish"),
    layer_norm((2, 32), -1, True, "decomposed"),
    layer_norm((2, 32), -1, True, "fused"),
    layer_norm((2, 3, 5), -1, False, "decomposed", epsilon=1e-2),
    layer_norm((2, 3, 5), -1, False, "fused", epsilon=1e-2),
    layer_norm((2, 3, 5), -2, True, "decomposed"),
    layer_norm((2, 3, 5), -2, True, "fused"),
    unary("LeakyRelu"),
    unary("LeakyRelu", alpha=-0.5),
    within("Log", 0.05),
    unary("LogSoftmax"),
    unary("LogSoftmax", axis=-2),
    Row("Max", (f(3, 7), f(3, 7))),
    Row("Max", (f(3, 7), f(7))),
    pool(2, 3, 6, 6, kernel_shape=[2, 2], strides=[2, 2]),
    pool(2, 3, 6, 6, kernel_shape=[2, 2], strides=[2, 2], sites="tree"),
    pool(2, 3, 9, kernel_shape=[4], pads=[1, 2], dilations=[2]),
    pool(2, 3, 7, 6, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1], ceil_mode=1),
    pool(2, 3, 7, 6, kernel_shape=[3, 2], strides=[2, 1], ceil_mode=1, sites="tree"),
    pool(2, 3, 7, 6, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
    pool(2, 3, 7, 6, kernel_shape=[2, 5], auto_pad="SAME_LOWER"),
    pool(1, 2, 5, 6, 7, kernel_shape=[2, 5, 3], strides=[1, 2, 2], auto_pad="VALID"),
    Row("Min", (f(3, 7), f(3, 7))),
    Row("Min", (f(3, 1), f(3, 7))),
    unary("Mish"),
    Row("PRelu", (f(3, 4), np.array([0.25, 0.1, -0.2, 0.5], np.float32))),
    Row("PRelu", (f(3, 7), np.array([0.25], np.float32))),
    Row("PRelu", (f(2, 3, 4), f(3, 1))),
    within("Reciprocal", 0.5),
    unary("Relu"),
    unary("Selu"),
    unary("Selu", alpha=1.1, gamma=0.7),
    unary("Sigmoid"),
    unary("Sin"),
    unary("Softmax"),
    unary("Softmax", axis=-2),
    Row("Softmax", (masked(f(2, 3, 5), np.float32(-np.inf)),)),
    Row("Softmax", (masked(f(2, 3, 5), np.finfo(np.float32).min),)),
    unary("Softplus"),
    unary("Softsign"),
    within("Sqrt", 0.0),
    unary("Swish"),
    unary("Swish", alpha=1.7),
    unary("Tanh"),
    unary("ThresholdedRelu"),
    unary("ThresholdedRelu", alpha=0.3),
]
FIRST = {row.source: row for row in reversed(ROWS)}
