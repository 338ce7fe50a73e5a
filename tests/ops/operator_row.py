"""What a row of the table of spiking operators says, and what rows are made of."""

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
