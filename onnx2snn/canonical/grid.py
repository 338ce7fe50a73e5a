"""The numbers a quantised tensor can hold: (q - zero) * scale for lowest <= q <= highest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from onnx2snn.canonical.graph import Array, constant, is_constant, operand, rank

_DOMAINS = (None, "", "ai.onnx", "com.microsoft")
_WHOLE = ("uint", "int")


@dataclass(frozen=True)
class Grid:
    """What a QuantizeLinear or DequantizeLinear node states.

    scale, zero: arrays that broadcast to the tensor; scalars if one number serves all of it.
    bits:        of the quantised type, whose numbers are negative too if it is signed.
    """

    scale: Array
    zero: Array
    bits: int
    signed: bool

    @property
    def low(self) -> Array:
        """The lowest multiple of the scale."""
        lowest = -(1 << (self.bits - 1)) if self.signed else 0
        return np.asarray(lowest - self.zero)

    @property
    def high(self) -> Array:
        """The highest multiple of the scale."""
        return np.asarray(self.low + ((1 << self.bits) - 1))

    @property
    def is_uniform(self) -> bool:
        """Whether the whole tensor has one scale and zero point."""
        return self.scale.ndim == 0 and self.zero.ndim == 0

    def equals(self, other: Grid) -> bool:
        """Whether both hold the same numbers under the same codes."""
        return np.array_equal(self.scale, other.scale) and np.array_equal(self.zero, other.zero)


def is_quantize(node: gs.Node | None) -> bool:
    """Whether `node` is a QuantizeLinear, the standard's or onnxruntime's."""
    return node is not None and node.domain in _DOMAINS and node.op == "QuantizeLinear"


def is_dequantize(node: gs.Node | None) -> bool:
    """Whether `node` is a DequantizeLinear, the standard's or onnxruntime's."""
    return node is not None and node.domain in _DOMAINS and node.op == "DequantizeLinear"


def grid_of(node: gs.Node) -> Grid | None:
    """The grid of a QuantizeLinear or DequantizeLinear whose scale and zero point are stored."""
    scale, zero = constant(node.inputs[1]), constant(operand(node, 2))
    if scale is None or (zero is None and operand(node, 2) is not None):
        return None
    kind = _quantised_type(node, zero)
    if not kind.startswith(_WHOLE):
        return None
    wide = np.asarray(scale, np.float64)
    held = np.zeros_like(wide) if zero is None else np.asarray(zero.astype(np.int64), np.float64)
    aligned = [_aligned(value, node) for value in (wide, held)]
    if aligned[0] is None or aligned[1] is None:
        return None
    bits = int(kind.removeprefix("u").removeprefix("int"))
    return Grid(aligned[0], aligned[1], bits, not kind.startswith("u"))


def _quantised_type(node: gs.Node, zero: Array | None) -> str:
    if zero is not None:
        return zero.dtype.name
    if is_dequantize(node):
        return np.dtype(node.inputs[0].dtype).name if node.inputs[0].dtype is not None else ""
    stated = node.attrs.get("output_dtype", 0) or onnx.TensorProto.UINT8
    return onnx.helper.tensor_dtype_to_np_dtype(stated).name


def _aligned(value: Array, node: gs.Node) -> Array | None:
    """The stored numbers in a shape that broadcasts to the tensor."""
    if value.size == 1:
        return value.reshape(())
    count, axis = rank(node.inputs[0]), node.attrs.get("axis", 1)
    if count is None:
        return None
    block = node.attrs.get("block_size", 0)
    if value.ndim == 1 and not block:
        return value.reshape(-1, *(1,) * (count - axis % count - 1))
    extent = (node.inputs[0].shape or [])[axis]
    if value.ndim != count or not block or not isinstance(extent, int):
        return None
    return np.repeat(value, block, axis % count).take(range(extent), axis % count)


def dequantized(node: gs.Node) -> Array | None:
    """(q - zero) * scale of a DequantizeLinear of stored tensors, in the type of the scale."""
    if not all(is_constant(tensor) for tensor in node.inputs if not tensor.is_empty()):
        return None
    held, scale = constant(node.inputs[0]), constant(node.inputs[1])
    zero = constant(operand(node, 2))
    if held is None or scale is None:
        return None
    steps, gain = held.astype(np.float32), _aligned(scale.astype(np.float32), node)
    if held.dtype.name == "int32":
        steps = held.astype(np.float64)
    shift = np.zeros(()) if zero is None else _aligned(zero.astype(np.float32), node)
    if gain is None or shift is None:
        return None
    return np.asarray((steps - shift) * gain).astype(scale.dtype)
