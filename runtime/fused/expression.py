"""Target functions as elementwise expressions, traced from the one function that an operator has.

The function is called on symbols instead of tensors; what it does to them is written down as a
short list of primitive instructions, from which kernels are generated. A function that does
more than elementwise arithmetic (row-wise ones, rare operations) has no expression.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Union

import torch

from onnx2snn.ops.target import Target

PRIMITIVES = frozenset(
    {
        *("add", "sub", "mul", "div", "max", "min", "neg", "abs", "exp", "log", "log1p", "erf"),
        *("tanh", "sqrt", "floor", "ceil", "gt", "ge", "lt", "le", "eq", "and", "or", "where"),
    }
)

Operand = Union["Symbol", float]


class NotElementwiseError(Exception):
    """The function does something that no kernel can be generated for."""


@dataclass(frozen=True)
class Instruction:
    """`result` = `primitive`(arguments); an argument is the name of a value or a number."""

    result: str
    primitive: str
    arguments: tuple[str | float, ...]


@dataclass(frozen=True)
class Expression:
    """f(x0, .., x{arity - 1}) as instructions in order; `result` names the value of f."""

    arity: int
    instructions: tuple[Instruction, ...]
    result: str


@dataclass
class _Recorder:
    instructions: list[Instruction] = field(default_factory=list)

    def emit(self, primitive: str, *arguments: Any) -> Symbol:
        names = tuple(a.name if isinstance(a, Symbol) else _number(a) for a in arguments)
        symbol = Symbol(f"t{len(self.instructions)}", self)
        self.instructions.append(Instruction(symbol.name, primitive, names))
        return symbol


def _number(value: Any) -> float:
    if isinstance(value, bool | int | float) and not math.isnan(value):
        return float(value)
    raise NotElementwiseError(f"{value!r} is no number")


class Symbol:
    """Stands for a tensor while a target function is traced."""

    dtype = torch.float32

    def __init__(self, name: str, recorder: _Recorder) -> None:
        self.name = name
        self.recorder = recorder

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Symbol:
        """What torch's functions call in place of themselves."""
        return _apply(func.__name__, *args, **(kwargs or {}))

    def __getattr__(self, name: str) -> Callable[..., Symbol]:
        if name.startswith("__") or name not in _FUNCTIONS:
            raise NotElementwiseError(name)
        return lambda *args, **kwargs: _apply(name, self, *args, **kwargs)

    def __add__(self, other: Operand) -> Symbol:
        return self.recorder.emit("add", self, other)

    def __radd__(self, other: Operand) -> Symbol:
        return self.recorder.emit("add", other, self)

    def __sub__(self, other: Operand) -> Symbol:
        return self.recorder.emit("sub", self, other)

    def __rsub__(self, other: Operand) -> Symbol:
        return self.recorder.emit("sub", other, self)

    def __mul__(self, other: Operand) -> Symbol:
        return self.recorder.emit("mul", self, other)

    def __rmul__(self, other: Operand) -> Symbol:
        return self.recorder.emit("mul", other, self)

    def __truediv__(self, other: Operand) -> Symbol:
        return self.recorder.emit("div", self, other)

    def __rtruediv__(self, other: Operand) -> Symbol:
        return self.recorder.emit("div", other, self)

    def __neg__(self) -> Symbol:
        return self.recorder.emit("neg", self)

    def __gt__(self, other: Operand) -> Symbol:
        return self.recorder.emit("gt", self, other)

    def __ge__(self, other: Operand) -> Symbol:
        return self.recorder.emit("ge", self, other)

    def __lt__(self, other: Operand) -> Symbol:
        return self.recorder.emit("lt", self, other)

    def __le__(self, other: Operand) -> Symbol:
        return self.recorder.emit("le", self, other)

    def __and__(self, other: Operand) -> Symbol:
        return self.recorder.emit("and", self, other)


def _primitive(name: str) -> Callable[..., Symbol]:
    def apply(*arguments: Operand) -> Symbol:
        recorder = next(a.recorder for a in arguments if isinstance(a, Symbol))
        return recorder.emit(name, *arguments)

    return apply


_max, _min, _where = _primitive("max"), _primitive("min"), _primitive("where")
_exp, _erf, _tanh, _log1p = (_primitive(n) for n in ("exp", "erf", "tanh", "log1p"))
_sqrt, _abs = _primitive("sqrt"), _primitive("abs")


def _sigmoid(x: Symbol) -> Symbol:
    return 1.0 / (1.0 + _exp(-x))


def _gelu(x: Symbol, approximate: str = "none") -> Symbol:
    if approximate == "none":
        return 0.5 * x * (1.0 + _erf(math.sqrt(0.5) * x))
    return 0.5 * x * (1.0 + _tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))))


def _softplus(x: Symbol, beta: float = 1.0, threshold: float = 20.0) -> Symbol:
    return _where(x * beta > threshold, x, _log1p(_exp(x * beta)) / beta)


def _elu(x: Symbol, alpha: float = 1.0, inplace: bool = False) -> Symbol:
    return _where(x > 0.0, x, alpha * (_exp(_min(x, 0.0)) - 1.0))


def _celu(x: Symbol, alpha: float = 1.0, inplace: bool = False) -> Symbol:
    return _where(x > 0.0, x, alpha * (_exp(_min(x, 0.0) / alpha) - 1.0))


def _leaky_relu(x: Symbol, negative_slope: float = 0.01, inplace: bool = False) -> Symbol:
    return _where(x > 0.0, x, x * negative_slope)


def _clamp(x: Symbol, min: Any = None, max: Any = None) -> Symbol:
    x = x if min is None else _max(x, min)
    return x if max is None else _min(x, max)


def _hardswish(x: Symbol, inplace: bool = False) -> Symbol:
    return x * _clamp(x + 3.0, 0.0, 6.0) / 6.0


_FUNCTIONS: dict[str, Callable[..., Symbol]] = {
    **{name: _primitive(name) for name in PRIMITIVES},
    "maximum": _max,
    "minimum": _min,
    "relu": lambda x, inplace=False: _max(x, 0.0),
    "sigmoid": _sigmoid,
    "gelu": _gelu,
    "silu": lambda x, inplace=False: x * _sigmoid(x),
    "softplus": _softplus,
    "softsign": lambda x: x / (1.0 + _abs(x)),
    "mish": lambda x, inplace=False: x * _tanh(_softplus(x)),
    "elu": _elu,
    "celu": _celu,
    "leaky_relu": _leaky_relu,
    "hardswish": _hardswish,
    "clamp": _clamp,
    "clamp_min": lambda x, min: _max(x, min),
    "clamp_max": lambda x, max: _min(x, max),
    "square": lambda x: x * x,
    "rsqrt": lambda x: 1.0 / _sqrt(x),
    "reciprocal": lambda x: 1.0 / x,
}


def _apply(name: str, *arguments: Any, **keywords: Any) -> Symbol:
    function = _FUNCTIONS.get(name)
    if function is None:
        raise NotElementwiseError(name)
    return function(*arguments, **keywords)


def trace(target: Target) -> Expression | None:
    """The target function as an expression, None where it is not elementwise."""
    recorder = _Recorder()
    symbols = [Symbol(f"x{i}", recorder) for i in range(target.arity)]
    try:
        result: Any = target.function(*symbols)
    except (NotElementwiseError, TypeError, AttributeError, StopIteration):
        return None
    if not isinstance(result, Symbol):
        return None
    return Expression(target.arity, tuple(recorder.instructions), result.name)
