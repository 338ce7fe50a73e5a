"""DequantizeLinear: stored weights become floats, and data are moved as floats."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.graph import (
    Pass,
    bypass,
    constant,
    each_node,
    fresh_name,
    insert_before,
    is_op,
    is_output,
    new_constant,
    operand,
    producer,
    replace,
)
from onnx2snn.canonical.grid import Grid, dequantized, grid_of, is_dequantize, is_quantize

_LARGEST_WEIGHT = 1 << 27
_MOVERS = (
    *("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Expand", "Tile"),
    *("Gather", "GatherElements", "GatherND", "DepthToSpace", "SpaceToDepth", "Identity"),
    *("Split", "Concat", "MaxPool", "GlobalMaxPool", "Pad", "Clip"),
)


def _store(graph: gs.Graph, node: gs.Node) -> bool:
    """(q - z) * s as a stored tensor, unless it is too large to hold in single precision."""
    if not is_dequantize(node) or is_output(graph, node.outputs[0]):
        return False
    if not isinstance(node.inputs[0], gs.Constant) or prod(node.inputs[0].shape) > _LARGEST_WEIGHT:
        return False
    value = dequantized(node)
    if value is None:
        return False
    result = node.outputs[0]
    result.inputs.clear()
    result.to_constant(value)
    return True


def _lift(graph: gs.Graph, node: gs.Node) -> bool:
    """Dequantize(move(q)) = move(Dequantize(q)), where one scale serves all of q."""
    nearest = is_op(node, "Resize") and node.attrs.get("mode", "nearest") == "nearest"
    if not is_op(node, *_MOVERS) and not nearest:
        return False
    readers = [reader for tensor in node.outputs for reader in tensor.outputs]
    if not readers or not all(map(is_dequantize, readers)):
        return False
    if any(is_output(graph, tensor) for tensor in node.outputs):
        return False
    first = _one_grid(readers)
    if first is None or not first.is_uniform:
        return False
    if is_op(node, "Pad", "Clip") and not _convert_limits(graph, node, first):
        return False
    for position in range(len(node.inputs) if is_op(node, "Concat") else 1):
        node.inputs[position] = _dequantize(graph, node, readers[0], node.inputs[position])
    for tensor in node.outputs:
        tensor.dtype = None
    for reader in readers:
        if not bypass(graph, reader):
            replace(graph, reader, "Identity", [reader.inputs[0]])
    return True


def _one_grid(readers: list[gs.Node]) -> Grid | None:
    """The grid that all DequantizeLinear nodes share."""
    first, *others = (grid_of(reader) for reader in readers)
    if first is None or any(one is None or not one.equals(first) for one in others):
        return None
    return first


def _convert_limits(graph: gs.Graph, node: gs.Node, grid: Grid) -> bool:
    """The fill of Pad and the bounds of Clip as floats."""
    positions = (2,) if is_op(node, "Pad") else (1, 2)
    if is_op(node, "Pad") and node.attrs.get("mode", "constant") != "constant":
        return True
    held = [operand(node, position) for position in positions]
    if any(tensor is not None and constant(tensor) is None for tensor in held):
        return False
    while is_op(node, "Pad") and len(node.inputs) < 3:
        node.inputs.append(gs.Variable.empty())
    for position, tensor in zip(positions, held, strict=True):
        value = constant(tensor)
        if value is None and not is_op(node, "Pad"):
            continue
        whole = np.zeros(()) if value is None else value.astype(np.float64)
        real = np.asarray((whole - grid.zero) * grid.scale, np.float32).reshape(())
        node.inputs[position] = new_constant(graph, f"{node.outputs[0].name}_limit", real)
    return True


def _dequantize(graph: gs.Graph, anchor: gs.Node, like: gs.Node, q: gs.Tensor) -> gs.Tensor:
    """A new DequantizeLinear of `q` before `anchor`, with the operands of `like`."""
    name = fresh_name(graph, f"{q.name}_dequantized")
    result = gs.Variable(name, dtype=like.outputs[0].dtype, shape=q.shape)
    operands = [q, *like.inputs[1:]]
    insert_before(
        graph, anchor, like.op, operands, [result], like.attrs, name=name, domain=like.domain
    )
    return result


def _shape_of_floats(graph: gs.Graph, node: gs.Node) -> bool:
    """Shape(Quantize(x)) = Shape(x)."""
    writer = producer(node.inputs[0]) if is_op(node, "Shape", "Size") else None
    if not (is_quantize(writer) or is_dequantize(writer)) or writer is None:
        return False
    node.inputs[0] = writer.inputs[0]
    return True


DEQUANTIZE_STORED = Pass(
    name="dequantize-stored",
    requires="shapes inferred",
    ensures="no DequantizeLinear reads stored tensors alone, unless its result is huge",
    run=each_node(_store),
)
DEQUANTIZE_FIRST = Pass(
    name="dequantize-first",
    requires="types inferred",
    ensures="data that are dequantised are moved as floats, their shapes those of floats",
    run=each_node(lambda graph, node: _lift(graph, node) or _shape_of_floats(graph, node)),
)
