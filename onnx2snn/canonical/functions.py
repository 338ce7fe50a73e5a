"""The unary functions the canonical form has a node for, and how each is told from samples.

A record's `fit` proposes attributes from values of f; whether f is that function is then
decided by comparing the two on a grid, never by the shape of the sub-graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from onnx2snn.canonical.domain import CANONICAL_DOMAIN
from onnx2snn.canonical.elementwise import erf, sigmoid, softplus
from onnx2snn.canonical.graph import Array

Function = Callable[[Array], Array]
Attributes = dict[str, float | str]
_FAR = 1e8
_EXACT = 1e-5
_HALF = 1e-3
_TAIL = 1e-6


@dataclass(frozen=True)
class Known:
    """A node of the canonical form: its value, and its attributes guessed from samples of f."""

    op_type: str
    value: Callable[[Array, Mapping[str, float | str]], Array]
    fit: Callable[[Function], Attributes | None] = lambda f: {}
    domain: str | None = None


@dataclass(frozen=True)
class Match:
    """The node that computes f; for Clip, `low` and `high` are operands."""

    op_type: str
    attributes: Attributes
    domain: str | None


def at(f: Function, x: float) -> float:
    """F at one point."""
    return float(f(np.asarray([x], np.float64))[0])


def _gelu_tanh(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))))


def _fit_clip(f: Function) -> Attributes | None:
    """clip(x, low, high): the bounds are what is left far away."""
    low, high = at(f, -_FAR), at(f, _FAR)
    bounds: Attributes = {}
    if low != -_FAR:
        bounds["low"] = low
    if high != _FAR:
        bounds["high"] = high
    return bounds if bounds and np.isfinite(low) and np.isfinite(high) and low < high else None


def _clip(x: Array, bounds: Mapping[str, float | str]) -> Array:
    return np.clip(x, float(bounds.get("low", -np.inf)), float(bounds.get("high", np.inf)))


def _fit_leaky(f: Function) -> Attributes | None:
    alpha = -at(f, -1.0)
    return {"alpha": alpha} if np.isfinite(alpha) and abs(alpha - 1) > _EXACT else None


def _fit_hard_sigmoid(f: Function) -> Attributes | None:
    """clip(alpha x + beta, 0, 1), from a point where it is neither 0 nor 1."""
    points = np.linspace(-10, 10, 2001)
    values = f(points)
    inner = np.flatnonzero((values > 1e-3) & (values < 1 - 1e-3))
    if len(inner) < 2:
        return None
    first, last = inner[0], inner[-1]
    alpha = (values[last] - values[first]) / (points[last] - points[first])
    return {"alpha": float(alpha), "beta": float(values[first] - alpha * points[first])}


def _fit_swish(f: Function) -> Attributes | None:
    """x sigmoid(alpha x): alpha is the logit of f(1)."""
    gate = at(f, 1.0)
    return {"alpha": float(np.log(gate / (1 - gate)))} if 0 < gate < 1 and gate != 0.5 else None


def _fit_elu(f: Function) -> Attributes | None:
    alpha = -at(f, -40.0)
    return {"alpha": alpha} if np.isfinite(alpha) and 0 < alpha < 39 else None


def _fit_shrink(f: Function) -> Attributes | None:
    """0 within [-lambd, lambd], x less or plus a bias beyond: the edge is found by halving."""
    low, high = 0.0, 12.0
    if at(f, low) != 0 or at(f, high) == 0:
        return None
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if at(f, middle) == 0 else (low, middle)
    if low < _EXACT:
        return None
    return {"lambd": low, "bias": high - at(f, high) if at(f, high) < _EXACT else 0.0}


def _shrink(x: Array, a: Mapping[str, float | str]) -> Array:
    lambd, bias = float(a["lambd"]), float(a["bias"])
    return np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, 0.0))


KNOWN: tuple[Known, ...] = (
    Known("Relu", lambda x, a: np.maximum(x, 0)),
    Known("Abs", lambda x, a: np.abs(x)),
    Known("Clip", _clip, _fit_clip),
    Known("LeakyRelu", lambda x, a: np.where(x > 0, x, float(a["alpha"]) * x), _fit_leaky),
    Known("Sigmoid", lambda x, a: sigmoid(x)),
    Known("Tanh", lambda x, a: np.tanh(x)),
    Known("Softplus", lambda x, a: softplus(x)),
    Known("Softsign", lambda x, a: x / (1 + np.abs(x))),
    Known(
        "HardSigmoid",
        lambda x, a: np.clip(float(a["alpha"]) * x + float(a["beta"]), 0, 1),
        _fit_hard_sigmoid,
    ),
    Known("HardSwish", lambda x, a: x * np.clip(x / 6 + 0.5, 0, 1)),
    Known("Mish", lambda x, a: x * np.tanh(softplus(x))),
    Known(
        "Gelu",
        lambda x, a: 0.5 * x * (1 + erf(x / np.sqrt(2))),
        lambda f: {"approximate": "none"},
    ),
    Known("Gelu", lambda x, a: _gelu_tanh(x), lambda f: {"approximate": "tanh"}),
    Known("Swish", lambda x, a: x * sigmoid(float(a["alpha"]) * x), _fit_swish, CANONICAL_DOMAIN),
    Known("Shrink", _shrink, _fit_shrink),
    Known(
        "Elu",
        lambda x, a: np.where(x > 0, x, float(a["alpha"]) * np.expm1(np.minimum(x, 0))),
        _fit_elu,
    ),
)


def recognise(f: Function, constants: list[float], *, half: bool = False) -> Match | None:
    """The known function that `f` is, None if it is none of them.

    `constants` are numbers near which f may change its course. Functions whose constants
    went through float32 agree to about 1e-7, those through float16 (`half`) to 1e-3; the
    two Gelu differ by 5e-4, so the nearest wins.
    """
    grid = _grid(constants)
    wanted = f(grid)
    if wanted.dtype.kind != "f":
        return None
    best: tuple[float, Match] | None = None
    for known in KNOWN:
        attributes = known.fit(f)
        if attributes is None:
            continue
        distance = _distance(known.value(grid, attributes), wanted, grid)
        if distance < (_HALF if half else _EXACT) and (best is None or distance < 0.5 * best[0]):
            best = distance, Match(known.op_type, attributes, known.domain)
    return best[1] if best else None


def _grid(constants: list[float]) -> Array:
    """Dense where functions curve, logarithmic to the far ends, and close around constants."""
    dense = np.linspace(-12.003, 12.001, 4001)
    far = np.geomspace(12, 1e7, 120)
    finite = [c for c in constants if np.isfinite(c) and abs(c) < 1e30]
    near = [sign * c * r for c in finite for r in (0.9, 0.999, 1.001, 1.1) for sign in (-1, 1)]
    return np.sort(np.concatenate([dense, far, -far, np.asarray(near, np.float64)]))


def _distance(value: Array, wanted: Array, grid: Array) -> float:
    """The largest deviation, measured against 1 near zero and against x further out.

    Where the sub-graph itself overflows, far from zero, its value says nothing.
    """
    near = np.abs(grid) <= 12.1
    if not np.all(np.isfinite(wanted[near])):
        return float("inf")
    seen = np.isfinite(wanted)
    scale = np.maximum(1.0, _TAIL / _EXACT * np.abs(grid))
    return float(np.max(np.abs(value[seen] - wanted[seen]) / scale[seen]))
