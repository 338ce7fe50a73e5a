"""Elementwise ONNX operators in numpy, to evaluate a cone of them on a grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import torch

from onnx2snn.canonical.graph import DEFAULT_DOMAINS, Array

Apply = Callable[[Sequence[Any], Mapping[str, Any]], Any]


def erf(x: Array) -> Array:
    """The error function in double precision; numpy has none."""
    return np.asarray(torch.erf(torch.from_numpy(np.asarray(x, np.float64))).numpy())


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)) without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def softplus(x: Array) -> Array:
    """log(1 + exp(x)) without overflow."""
    return np.asarray(np.logaddexp(0.0, x))


def _clip(x: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    low = x[1] if len(x) > 1 and x[1] is not None else -np.inf
    high = x[2] if len(x) > 2 and x[2] is not None else np.inf
    return np.minimum(np.maximum(x[0], low), high)


def _hard_sigmoid(x: Any, attributes: Mapping[str, Any]) -> Any:
    return np.clip(attributes.get("alpha", 0.2) * x + attributes.get("beta", 0.5), 0, 1)


def _elu(x: Any, attributes: Mapping[str, Any]) -> Any:
    return np.where(x > 0, x, attributes.get("alpha", 1.0) * np.expm1(np.minimum(x, 0)))


ELEMENTWISE: Mapping[str, Apply] = {
    "Abs": lambda x, a: np.abs(x[0]),
    "Add": lambda x, a: x[0] + x[1],
    "And": lambda x, a: np.logical_and(x[0], x[1]),
    "Clip": _clip,
    "Div": lambda x, a: x[0] / x[1],
    "Elu": lambda x, a: _elu(x[0], a),
    "Erf": lambda x, a: erf(x[0]),
    "Exp": lambda x, a: np.exp(x[0]),
    "Greater": lambda x, a: x[0] > x[1],
    "GreaterOrEqual": lambda x, a: x[0] >= x[1],
    "HardSigmoid": lambda x, a: _hard_sigmoid(x[0], a),
    "HardSwish": lambda x, a: x[0] * np.clip(x[0] / 6 + 0.5, 0, 1),
    "LeakyRelu": lambda x, a: np.where(x[0] > 0, x[0], a.get("alpha", 0.01) * x[0]),
    "Less": lambda x, a: x[0] < x[1],
    "LessOrEqual": lambda x, a: x[0] <= x[1],
    "Log": lambda x, a: np.log(x[0]),
    "Max": lambda x, a: reduce(np.maximum, x),
    "Min": lambda x, a: reduce(np.minimum, x),
    "Mul": lambda x, a: x[0] * x[1],
    "Neg": lambda x, a: -x[0],
    "Not": lambda x, a: np.logical_not(x[0]),
    "Or": lambda x, a: np.logical_or(x[0], x[1]),
    "PRelu": lambda x, a: np.where(x[0] > 0, x[0], x[1] * x[0]),
    "Pow": lambda x, a: np.power(x[0], x[1]),
    "Reciprocal": lambda x, a: 1 / x[0],
    "Relu": lambda x, a: np.maximum(x[0], 0),
    "Sigmoid": lambda x, a: sigmoid(x[0]),
    "Sign": lambda x, a: np.sign(x[0]),
    "Softplus": lambda x, a: softplus(x[0]),
    "Softsign": lambda x, a: x[0] / (1 + np.abs(x[0])),
    "Sqrt": lambda x, a: np.sqrt(x[0]),
    "Sub": lambda x, a: x[0] - x[1],
    "Sum": lambda x, a: reduce(np.add, x),
    "Tanh": lambda x, a: np.tanh(x[0]),
    "Where": lambda x, a: np.where(x[0], x[1], x[2]),
}


def is_elementwise(node: gs.Node | None) -> bool:
    """Whether the result is computed entry by entry by an operator known here."""
    return node is not None and node.domain in DEFAULT_DOMAINS and node.op in ELEMENTWISE
