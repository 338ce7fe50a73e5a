"""Erf in float64, within two units of the last place of 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onnx2snn.export.text import write_text
from onnx2snn.export.writer import Writer

_NEAR = (
    0.9654687386698673,
    -0.1405360890227171,
    0.019852496688983708,
    -0.0022854855611441132,
    0.00021751715604160108,
    -1.7537169441124826e-05,
    1.223382738352401e-06,
    -7.51156928660089e-08,
    4.11580059766496e-09,
    -2.035228404899467e-10,
    9.167606746069445e-12,
    -3.8078827395263415e-13,
    1.454817075960679e-14,
)
"""erf(x) / x for |x| <= 1: coefficients of s^0, s^1, .. with s = 2 x^2 - 1."""

_FAR = (
    0.20798329133342885,
    -0.15436117429436919,
    0.04969844540339479,
    -0.012713147695691885,
    0.0024793146970725098,
    -0.00033160296057999636,
    1.9563583307623115e-05,
    2.4255574907734528e-06,
    -5.54127740980289e-07,
    -4.5267543775640776e-09,
    1.134025497326978e-08,
    -2.637274148620311e-10,
    -2.580898475430029e-10,
    5.964757357313207e-12,
    6.711640674248828e-12,
    4.17650240397811e-14,
    -1.6689308894979641e-13,
    -8.766844618747572e-15,
)
"""erfc(x) exp(x^2) for 1 <= x <= 6: coefficients of z^0, .. with z = (13x - 33) / (5x + 15)."""


def _horner(name: str, variable: str, coefficients: Sequence[float]) -> str:
    """ONNX text for `name` = the polynomial with constants `name`_0, `name`_1, .."""
    last = len(coefficients) - 1
    lines, value = [], f"{name}_{last}"
    for i in reversed(range(last)):
        result = name if i == 0 else f"{name}s{i}"
        lines.append(f"{name}p{i} = Mul ({value}, {variable})")
        lines.append(f"{result} = Add ({name}p{i}, {name}_{i})")
        value = result
    return " ".join(lines)


_BODY = f"""
    x2 = Mul (X1, X1) twice = Add (x2, x2) s = Sub (twice, one) {_horner("near", "s", _NEAR)}
    inner = Mul (X1, near)
    a = Abs (X1) limited = Min (a, six) r = Max (limited, one)
    n = Mul (r, thirteen) above = Sub (n, offset) d = Mul (r, five) below = Add (d, fifteen)
    z = Div (above, below) {_horner("far", "z", _FAR)}
    r2 = Mul (r, r) m = Neg (r2) e = Exp (m) tail = Mul (e, far) size = Sub (one, tail)
    sign = Sign (X1) outer = Mul (sign, size)
    small = Less (a, one) Y = Where (small, inner, outer)
"""
_CONSTANTS = {
    **{"one": 1.0, "six": 6.0, "thirteen": 13.0, "offset": 33.0, "five": 5.0, "fifteen": 15.0},
    **{f"near_{i}": c for i, c in enumerate(_NEAR)},
    **{f"far_{i}": c for i, c in enumerate(_FAR)},
}


def write_erf(writer: Writer, inputs: Sequence[str], attributes: Mapping[str, Any]) -> str:
    """x P(x^2) up to 1, from there on sign(x) (1 - exp(-x^2) Q(x))."""
    return write_text(writer, _BODY, inputs, _CONSTANTS, "Erf")
