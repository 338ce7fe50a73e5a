"""Integer products of tensors whose scale is found at run time.

With q, s, z = DynamicQuantizeLinear(x) and f(x) = (q - z) s, the staircase DynamicFakeQuantize:
Cast(MatMulInteger(q, W, z, w)) * (s * c) = MatMul(f(x), W - w) * c, and so for ConvInteger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.domain import CANONICAL_DOMAIN
from onnx2snn.canonical.graph import (
    DEFAULT_DOMAINS,
    Array,
    Pass,
    constant,
    each_node,
    fresh_name,
    insert_before,
    insert_new,
    is_op,
    new_constant,
    operand,
    producer,
    rank,
    replace,
    scalar,
)
from onnx2snn.canonical.grid import is_dequantize

_INTEGER = {"MatMulInteger": "MatMul", "ConvInteger": "Conv"}


@dataclass(frozen=True)
class _Operand:
    """An operand of an integer product as floats; `scale` is what it is already multiplied by."""

    tensor: gs.Tensor
    scale: gs.Tensor | None


def _source(q: gs.Tensor) -> gs.Node | None:
    """The DynamicQuantizeLinear that writes `q` as its first result."""
    node = producer(q)
    known = node is not None and is_op(node, "DynamicQuantizeLinear") and node.outputs[0] is q
    return node if known else None


def _staircase(graph: gs.Graph, node: gs.Node) -> gs.Tensor | None:
    """F(x) of a DynamicQuantizeLinear, written once."""
    x = node.inputs[0]
    for reader in x.outputs:
        if reader.domain == CANONICAL_DOMAIN and reader.op == "DynamicFakeQuantize":
            found: gs.Tensor = reader.outputs[0]
            return found
    count = rank(x)
    if count is None:
        return None
    name = fresh_name(graph, f"{node.outputs[0].name}_real")
    result = gs.Variable(name, dtype=x.dtype, shape=x.shape)
    axes = list(range(-max(count - 1, 1), 0))
    insert_before(
        graph,
        node,
        "DynamicFakeQuantize",
        [x],
        [result],
        {"axes": axes},
        name=name,
        domain=CANONICAL_DOMAIN,
    )
    return result


def _real(graph: gs.Graph, node: gs.Node, position: int) -> _Operand | None:
    """Operand `position` of an integer product, whose zero point is two further."""
    q, zero = node.inputs[position], operand(node, position + 2)
    held = constant(q)
    if held is not None:
        shift = constant(zero) if zero is not None else np.zeros(())
        if shift is None:
            return None
        value = held.astype(np.float32) - _beside(shift.astype(np.float32), held, node)
        return _Operand(new_constant(graph, f"{q.name}_real", value), None)
    source = _source(q)
    if source is None or zero is not source.outputs[2]:
        return None
    stairs = _staircase(graph, source)
    return None if stairs is None else _Operand(stairs, source.outputs[1])


def _beside(zero: Array, held: Array, node: gs.Node) -> Array:
    """A zero point per output channel of a stored weight."""
    if zero.size == 1 or is_op(node, "MatMulInteger"):
        return zero.reshape(()) if zero.size == 1 else zero
    return zero.reshape(-1, *(1,) * (held.ndim - 1))


def _factors(tensor: gs.Tensor) -> list[gs.Tensor]:
    node = producer(tensor)
    if is_op(node, "Mul") and node is not None:
        return [part for source in node.inputs for part in _factors(source)]
    return [tensor]


def _product(graph: gs.Graph, node: gs.Node) -> bool:
    """Mul(Cast(integer product), scales)."""
    if not is_op(node, "Mul"):
        return False
    for cast, scales in (node.inputs, list(reversed(node.inputs))):
        above = producer(cast)
        integer = producer(above.inputs[0]) if is_op(above, "Cast") and above is not None else None
        if integer is not None and is_op(integer, *_INTEGER):
            return _rewrite(graph, node, integer, scales)
    return False


def _rewrite(graph: gs.Graph, node: gs.Node, integer: gs.Node, scales: gs.Tensor) -> bool:
    """Let `node` be the product of floats times what is left of the scales."""
    left, right = _real(graph, integer, 0), _real(graph, integer, 1)
    if left is None or right is None:
        return False
    remaining = _factors(scales)
    for part in (left, right):
        if part.scale is None:
            continue
        position = next((i for i, t in enumerate(remaining) if t is part.scale), None)
        if position is None:
            return False
        del remaining[position]
    op_type, operands = _INTEGER[integer.op], [left.tensor, right.tensor]
    if right.scale is None:
        operands[1], remaining = _absorbed(graph, right.tensor, remaining)
    if not remaining:
        replace(graph, node, op_type, operands, integer.attrs)
        return True
    y = insert_new(graph, node, op_type, operands, node.outputs[0].shape, integer.attrs)
    for factor in remaining[:-1]:
        y = insert_new(graph, node, "Mul", [y, factor], node.outputs[0].shape)
    replace(graph, node, "Mul", [y, remaining[-1]])
    return True


def _absorbed(
    graph: gs.Graph, weight: gs.Tensor, factors: list[gs.Tensor]
) -> tuple[gs.Tensor, list[gs.Tensor]]:
    """The stored weight times those factors that are stored numbers, and the other factors."""
    numbers = [scalar(factor) for factor in factors]
    held = constant(weight)
    by = [number for number in numbers if number is not None]
    if held is None or not by:
        return weight, factors
    value = (held.astype(np.float64) * np.prod(by)).astype(held.dtype)
    others = [factor for factor, number in zip(factors, numbers, strict=True) if number is None]
    return new_constant(graph, f"{weight.name}_scaled", value), others


def _as_stored(graph: gs.Graph, node: gs.Node) -> bool:
    """Cast(MatMulInteger(q, W, z, w)) with stored zero points, by way of DequantizeLinear."""
    integer = producer(node.inputs[0]) if is_op(node, "Cast") else None
    if integer is None or not is_op(integer, *_INTEGER) or node.attrs.get("to") != 1:
        return False
    zeros = [operand(integer, position) for position in (2, 3)]
    if any(zero is not None and constant(zero) is None for zero in zeros):
        return False
    parts = []
    for position, zero in enumerate(zeros):
        q = integer.inputs[position]
        one = new_constant(graph, f"{q.name}_one", np.float32(1) * np.ones(_size(zero), "f"))
        axis = max((rank(q) or 1) - 1, 0) if is_op(integer, "MatMulInteger") else 0
        operands = [q, one, *([] if zero is None else [zero])]
        real = insert_new(graph, node, "DequantizeLinear", operands, q.shape, {"axis": axis})
        parts.append(real)
    replace(graph, node, _INTEGER[integer.op], parts, integer.attrs)
    return True


def _size(zero: gs.Tensor | None) -> tuple[int, ...]:
    value = constant(zero)
    return () if value is None or value.size == 1 else value.shape


def _round_trip(graph: gs.Graph, node: gs.Node) -> bool:
    """DequantizeLinear(q, s, z) of one DynamicQuantizeLinear."""
    source = _source(node.inputs[0]) if is_dequantize(node) else None
    if source is None or list(node.inputs[1:]) != list(source.outputs[1:]):
        return False
    stairs = _staircase(graph, source)
    if stairs is None:
        return False
    replace(graph, node, "Identity", [stairs])
    return True


def _dynamic_matmul(graph: gs.Graph, node: gs.Node) -> bool:
    """DynamicQuantizeMatMul(x, W, c, w, b) by its parts."""
    x, weight, scale = node.inputs[:3]
    shape = node.outputs[0].shape
    parts = [gs.Variable(fresh_name(graph, f"{node.outputs[0].name}_{key}")) for key in "qsz"]
    insert_before(graph, node, "DynamicQuantizeLinear", [x], parts)
    zero = operand(node, 3)
    operands = [parts[0], weight, parts[2], *([] if zero is None else [zero])]
    integer = insert_new(graph, node, "MatMulInteger", operands, shape)
    cast = insert_new(graph, node, "Cast", [integer], shape, {"to": 1})
    return _scaled(graph, node, cast, [parts[1], scale], operand(node, 4))


def _matmul_to_float(graph: gs.Graph, node: gs.Node) -> bool:
    """MatMulIntegerToFloat(q, W, s, c, z, w, b) by its parts."""
    zeros = [operand(node, position) or gs.Variable.empty() for position in (4, 5)]
    shape = node.outputs[0].shape
    integer = insert_new(graph, node, "MatMulInteger", [*node.inputs[:2], *zeros], shape)
    cast = insert_new(graph, node, "Cast", [integer], shape, {"to": 1})
    return _scaled(graph, node, cast, list(node.inputs[2:4]), operand(node, 6))


def _scaled(
    graph: gs.Graph, node: gs.Node, y: gs.Tensor, scales: list[gs.Tensor], bias: gs.Tensor | None
) -> bool:
    scale = insert_new(graph, node, "Mul", scales, None)
    if bias is None:
        replace(graph, node, "Mul", [y, scale])
    else:
        product = insert_new(graph, node, "Mul", [y, scale], node.outputs[0].shape)
        replace(graph, node, "Add", [product, bias])
    return True


CONTRIB: Mapping[str, Callable[[gs.Graph, gs.Node], bool]] = {
    "DynamicQuantizeMatMul": _dynamic_matmul,
    "MatMulIntegerToFloat": _matmul_to_float,
}


def _dynamic(graph: gs.Graph, node: gs.Node) -> bool:
    rewrite = CONTRIB.get(node.op) if node.domain not in DEFAULT_DOMAINS else None
    if rewrite is not None:
        return rewrite(graph, node)
    return _product(graph, node) or _as_stored(graph, node) or _round_trip(graph, node)


DYNAMIC_QUANTIZE = Pass(
    name="dynamic-quantize",
    requires="shapes inferred, constants folded",
    ensures="integer products of dynamically quantised tensors are products of floats",
    run=each_node(_dynamic),
)
