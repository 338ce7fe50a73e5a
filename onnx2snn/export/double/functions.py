"""Elementary functions in float64, from those for which onnxruntime has a kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import pi
from typing import Any

from onnx2snn.export.text import write_text
from onnx2snn.export.writer import Rewrite, Writer

# atan(u) for |u| <= 1 as a = u (1.058 - 0.273 |u|), off by 0.004, corrected by the angle from a
# to u: d = (u cos a - sin a) / (cos a + u sin a), atan(d) = d (1 - d^2 / 3 + d^4 / 5).
_ATAN = """
    size = Abs (X1) large = Greater (size, one) inverse = Div (one, X1)
    u = Where (large, inverse, X1)
    w = Abs (u) bend = Mul (w, curve) slope = Sub (steep, bend) a = Mul (u, slope)
    c = Cos (a) s = Sin (a) uc = Mul (u, c) us = Mul (u, s) up = Sub (uc, s) down = Add (c, us)
    d = Div (up, down) q = Mul (d, d) fifth = Mul (q, p4) third = Add (fifth, p2)
    rest = Mul (q, third) whole = Add (one, rest) e = Mul (d, whole)
    v = Add (a, e) sign = Sign (X1) right = Mul (sign, quarter) other = Sub (right, v)
    Y = Where (large, other, v)
"""
_ATAN_CONSTANTS = {
    **{"one": 1.0, "quarter": pi / 2, "steep": pi / 4 + 0.273, "curve": 0.273},
    **{"p2": -1 / 3, "p4": 1 / 5},
}
_TEXTS: Mapping[str, tuple[str, Mapping[str, float]]] = {
    "Atan": (_ATAN, _ATAN_CONSTANTS),
    "Tan": ("s = Sin (X1) c = Cos (X1) Y = Div (s, c)", {}),
    "Sinh": (
        "m = Neg (X1) e = Exp (X1) f = Exp (m) d = Sub (e, f) Y = Mul (d, half)",
        {"half": 0.5},
    ),
    "Cosh": (
        "m = Neg (X1) e = Exp (X1) f = Exp (m) s = Add (e, f) Y = Mul (s, half)",
        {"half": 0.5},
    ),
    "Asin": (
        """l = Sub (one, X1) r = Add (one, X1) p = Mul (l, r) q = Sqrt (p) t = Div (X1, q)
        Y = Atan (t)""",
        {"one": 1.0},
    ),
    "Acos": (
        """l = Sub (one, X1) r = Add (one, X1) d = Div (l, r) q = Sqrt (d) a = Atan (q)
        Y = Add (a, a)""",
        {"one": 1.0},
    ),
    "Asinh": (
        """a = Abs (X1) s = Mul (X1, X1) p = Add (s, one) q = Sqrt (p) t = Add (a, q) l = Log (t)
        sign = Sign (X1) Y = Mul (sign, l)""",
        {"one": 1.0},
    ),
    "Acosh": (
        """l = Sub (X1, one) r = Add (X1, one) p = Mul (l, r) q = Sqrt (p) t = Add (X1, q)
        Y = Log (t)""",
        {"one": 1.0},
    ),
    "Atanh": (
        "l = Sub (one, X1) r = Add (one, X1) d = Div (r, l) g = Log (d) Y = Mul (g, half)",
        {"one": 1.0, "half": 0.5},
    ),
}


def _rewrite(name: str, body: str, constants: Mapping[str, float]) -> Rewrite:
    def write(writer: Writer, inputs: Sequence[str], attributes: Mapping[str, Any]) -> str:
        return write_text(writer, body, inputs, constants, name)

    return write


FUNCTIONS: Mapping[str, Rewrite] = {
    name: _rewrite(name, body, constants) for name, (body, constants) in _TEXTS.items()
}
