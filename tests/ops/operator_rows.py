"""One row or several per spiking operator: operands, attributes, and where it is at home."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
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
    stored:     further operands of the source that are attributes of the spiking node.
    behind:     the operands that other sites write where the claim is measured behind some; one
                that is named twice has two in a row.
    nodes:      ONNX text that computes y from x0, x1, ... where the source is no single node.
    """

    source: str
    operands: tuple[Array | None, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    domain: Callable[[Array], Array] = lambda x: x
    shape: tuple[int, ...] = (16, 4)
    stored: tuple[Array, ...] = ()
    behind: tuple[int, ...] = (0,)
    nodes: str = ""

    @property
    def rank(self) -> int:
        """Axes of the result."""
        dropped = 0 if self.attributes.get("keepdims", 1) else len(self.extra["axes"])
        return max(a.ndim for a in self.operands if a is not None) - dropped

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


def instance_norm(*shape: int, sites: str, **attributes: Any) -> Row:
    operands = (f(*shape), f(shape[1]), f(shape[1]))
    extra = {"axis": 2 - len(shape), "sites": sites}
    return Row("InstanceNormalization", operands, attributes, extra, shape=(4, 64))


def rms_norm(shape: tuple[int, ...], axis: int, sites: str, **more: Any) -> Row:
    operands = (f(*shape), f(*shape[axis:]))
    return Row("RMSNormalization", operands, {"axis": axis, **more}, {"sites": sites}, shape=(32,))


def passing(slope: float, row: Row) -> Row:
    """A row whose linear part passes by the neurons."""
    return replace(row, extra={**row.extra, "passing": slope})


def reduced(
    source: str, axes: tuple[int, ...] = (-1,), keep: int = 1, low: float | None = None
) -> Row:
    """A reduction of a tensor of three axes; of positive numbers above `low`, if given."""
    domain = positive(low) if low is not None else lambda x: x
    return Row(
        source,
        (domain(f(3, 5, 4)),),
        {"keepdims": keep},
        {"axes": list(axes)},
        domain,
        (4, 16),
        (np.array(axes, np.int64),),
    )


def inside(source: str, limit: float) -> Row:
    """Of numbers between -limit and limit."""
    squash: Callable[[Array], Array] = lambda x: (limit * np.tanh(x)).astype(np.float32)  # noqa: E731
    return Row(source, (squash(f(3, 7)),), domain=squash)


def chosen(source: str, comparison: str, *operands: Array) -> Row:
    """Where of a comparison."""
    nodes = f"c = {comparison} (x0, x1) y = Where (c, x2, x3)"
    return Row(source, operands, nodes=nodes)


def rectified_sum(*operands: Array) -> Row:
    """Relu of a sum whose second operand has one site more behind it."""
    return Row("AddRelu", operands, nodes="s = Add (x0, x1) y = Relu (s)", behind=(0, 1, 1))


def whole(x: Array) -> Array:
    """Numbers that are often equal."""
    return np.round(x).astype(np.float32)


# The first row of every operator is the one whose claim is measured.
ROWS = [
    unary("Abs"),
    rectified_sum(f(3, 7), f(3, 7)),
    rectified_sum(f(3, 1), f(3, 7)),
    rectified_sum(f(3, 7), f(7)),
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
    inside("Acos", 0.9),
    within("Acosh", 1.5),
    inside("Asin", 0.9),
    unary("Asinh"),
    inside("Atanh", 0.9),
    unary("Ceil"),
    unary("Cosh"),
    Row("Div", (f(3, 7), positive(0.5)(f(3, 7))), domain=positive(0.5), behind=(1,)),
    Row("Div", (f(3, 7), positive(0.5)(f(7)))),
    unary("Floor"),
    Row("GlobalLpPool", (f(2, 3, 5, 4),), shape=(3, 5, 4)),
    Row("GlobalLpPool", (f(2, 3, 7),), {"p": 1}),
    unary("Hardmax"),
    unary("Hardmax", axis=-2),
    instance_norm(2, 4, 64, sites="decomposed"),
    instance_norm(2, 4, 64, sites="fused"),
    instance_norm(2, 3, 5, 4, sites="decomposed", epsilon=1e-2),
    instance_norm(2, 3, 5, 4, sites="fused", epsilon=1e-2),
    Row("LRN", (f(2, 5, 4, 3),), {"size": 3, "alpha": 0.5}, shape=(5, 4, 4)),
    Row("LRN", (f(2, 5, 4, 3),), {"size": 5, "alpha": 0.3, "beta": 0.5, "bias": 2.0}),
    unary("LpNormalization"),
    unary("LpNormalization", axis=-2, p=1),
    Row("LpNormalization", (np.array([[0, 0], [3, 4]], np.float32),)),
    Row("LpPool", (f(2, 3, 6, 6),), {"kernel_shape": [2, 2], "strides": [2, 2]}, shape=(3, 6, 6)),
    Row("LpPool", (f(2, 3, 7, 6),), {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1], "p": 1}),
    Row("LpPool", (f(2, 3, 9),), {"kernel_shape": [3], "dilations": [2], "p": 3}),
    Row("LpPool", (f(2, 3, 7, 6),), {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER"}),
    Row("LpPool", (f(2, 3, 8),), {"kernel_shape": [3], "strides": [2], "ceil_mode": 1}),
    Row("Mod", (f(3, 7), bound(1.5)), {"fmod": 1}),
    Row("Mod", (f(3, 7), f(7)), {"fmod": 1}),
    Row("Pow", (positive(0.5)(f(3, 7)), bound(1.5)), domain=positive(0.5)),
    Row("Pow", (f(3, 7), bound(3))),
    Row("Pow", (f(3, 7), bound(-2))),
    Row("Pow", (positive(0.1)(f(3, 7)), f(7))),
    rms_norm((2, 32), -1, "decomposed"),
    rms_norm((2, 32), -1, "fused"),
    rms_norm((2, 3, 5), -2, "decomposed", epsilon=1e-2),
    rms_norm((2, 3, 5), -2, "fused", epsilon=1e-2),
    *(reduced(f"Reduce{kind}") for kind in ("Max", "Min", "L1", "L2", "SumSquare", "LogSumExp")),
    reduced("ReduceProd"),
    reduced("ReduceLogSum", low=0.05),
    *(reduced(f"Reduce{kind}", (-3, -1)) for kind in ("Max", "Prod", "L2", "LogSumExp")),
    *(reduced(f"Reduce{kind}", (-2,), 0) for kind in ("Min", "Prod", "L1", "SumSquare")),
    reduced("ReduceLogSum", (-3, -2, -1), 0, 0.05),
    unary("Round"),
    unary("Shrink"),
    unary("Shrink", bias=0.3, lambd=0.8),
    unary("Sign"),
    unary("Sinh"),
    Row("Softmax", (masked(f(2, 3, 5), np.float32(-np.inf)),), {}, {"sites": "decomposed"}),
    Row("Softmax", (f(2, 3, 5),), {"axis": -2}, {"sites": "decomposed"}),
    inside("Tan", 1.2),
    passing(0.5, unary("Relu")),
    passing(0.4, unary("Gelu", approximate="tanh")),
    passing(1.5, unary("Swish", alpha=1.7)),
    passing(-0.3, unary("Softmax", axis=-2)),
    passing(0.8, layer_norm((2, 32), -1, True, "fused")),
    passing(0.7, layer_norm((2, 3, 5), -2, False, "fused")),
    passing(0.6, instance_norm(2, 3, 5, 4, sites="fused")),
    passing(0.9, rms_norm((2, 3, 5), -2, "fused")),
    passing(0.7, pool(2, 3, 6, 6, kernel_shape=[2, 2], strides=[2, 2])),
    passing(0.6, pool(2, 3, 7, 6, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1])),
    passing(0.6, pool(1, 2, 5, 6, 7, kernel_shape=[1, 3, 3], pads=[0, 1, 1, 0, 1, 1])),
    chosen("WhereLess", "Less", f(3, 7), f(7), f(3, 1), f(3, 7)),
    chosen("WhereLessOrEqual", "LessOrEqual", whole(f(3, 7)), whole(f(7)), f(3, 1), f(3, 7)),
]
FIRST = {row.source: row for row in reversed(ROWS)}
