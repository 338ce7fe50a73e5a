"""The row of a table of linear operators, and operands for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_RNG = np.random.default_rng(20240701)


@dataclass(frozen=True)
class Row:
    """A node with its operands. `reference`: why onnx.reference is no oracle for it, if so."""

    op_type: str
    operands: Sequence[Array | None]
    attributes: dict[str, Any]
    outputs: int = 1
    tolerance: float = 1e-5
    reference: str = ""

    def __str__(self) -> str:
        shown = [f"{k}={v}" for k, v in self.attributes.items()]
        shapes = ["x".join(map(str, a.shape)) for a in self.operands if a is not None]
        return ",".join([self.op_type, *shapes, *shown]).replace(" ", "")


def f(*shape: int) -> Array:
    return _RNG.normal(size=shape).astype(np.float32)


def i(*values: Any) -> Array:
    return np.array(values, np.int64)


def row(op_type: str, *operands: Array | None, **attributes: Any) -> Row:
    own = {k: attributes.pop(k) for k in ("outputs", "tolerance", "reference") if k in attributes}
    return Row(op_type, operands, attributes, **own)
