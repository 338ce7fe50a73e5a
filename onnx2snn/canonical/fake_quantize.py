"""QuantizeLinear followed by DequantizeLinear: one staircase, FakeQuantize."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.domain import CANONICAL_DOMAIN
from onnx2snn.canonical.graph import (
    Array,
    Pass,
    each_node,
    insert_before,
    insert_new,
    is_constant,
    is_output,
    new_constant,
    redirect,
    remove,
    replace,
)
from onnx2snn.canonical.grid import Grid, grid_of, is_dequantize, is_quantize


def is_fake_quantize(node: gs.Node | None) -> bool:
    """Whether `node` is the canonical staircase."""
    return node is not None and node.domain == CANONICAL_DOMAIN and node.op == "FakeQuantize"


def _join(graph: gs.Graph, node: gs.Node) -> bool:
    """Each DequantizeLinear behind one QuantizeLinear; equal ones share their staircase."""
    grid = grid_of(node) if is_quantize(node) and not is_constant(node.inputs[0]) else None
    if grid is None:
        return False
    shared: gs.Tensor | None = None
    changed = False
    if node.inputs[0].dtype is None:
        node.inputs[0].dtype = node.inputs[1].dtype
    for reader in list(node.outputs[0].outputs):
        wanted = grid_of(reader) if is_dequantize(reader) else None
        if wanted is None or reader.inputs[1].dtype != node.inputs[1].dtype:
            continue
        changed = True
        reader.outputs[0].dtype = reader.inputs[1].dtype
        if not wanted.equals(grid):
            _rescaled(graph, node, reader, grid, wanted)
        elif shared is None:
            shared = _staircase(graph, node, reader, grid)
        elif is_output(graph, reader.outputs[0]):
            replace(graph, reader, "Identity", [shared])
        else:
            redirect(reader.outputs[0], shared)
            remove(graph, reader)
    return changed


def _staircase(graph: gs.Graph, node: gs.Node, reader: gs.Node, grid: Grid) -> gs.Tensor:
    """The staircase in the place of the QuantizeLinear `node`, ahead of all its readers."""
    result = reader.outputs[0]
    operands = _operands(graph, node.inputs[0], result.name, grid)
    remove(graph, reader)
    insert_before(
        graph,
        node,
        "FakeQuantize",
        operands,
        [result],
        name=reader.name,
        domain=CANONICAL_DOMAIN,
    )
    return result


def _operands(graph: gs.Graph, x: gs.Tensor, base: str, grid: Grid) -> list[gs.Tensor]:
    """X, scale, low, high in the type of x."""
    parts = {"scale": grid.scale, "low": grid.low, "high": grid.high}
    return [x, *(new_bound(graph, x, f"{base}_{key}", value) for key, value in parts.items())]


def new_bound(graph: gs.Graph, x: gs.Tensor, base: str, value: Array) -> gs.Tensor:
    """A stored operand of the staircase in the type of `x`, within what that type can hold."""
    kind = np.dtype(x.dtype)
    largest = float(np.finfo(kind).max) if kind.kind == "f" else np.inf
    return new_constant(graph, base, np.clip(value, -largest, largest).astype(kind))


def _rescaled(graph: gs.Graph, node: gs.Node, reader: gs.Node, grid: Grid, wanted: Grid) -> None:
    """(q - z2) s2 = ((q - z1) s1) (s2 / s1) + (z1 - z2) s2."""
    x, base = node.inputs[0], reader.outputs[0].name
    operands = _operands(graph, x, base, grid)
    stairs = insert_new(graph, reader, "FakeQuantize", operands, x.shape)
    stairs.inputs[0].domain = CANONICAL_DOMAIN
    gain = new_bound(graph, x, f"{base}_gain", wanted.scale / grid.scale)
    scaled = insert_new(graph, reader, "Mul", [stairs, gain], x.shape)
    shift = new_bound(graph, x, f"{base}_shift", (grid.zero - wanted.zero) * wanted.scale)
    replace(graph, reader, "Add", [scaled, shift])


FAKE_QUANTIZE = Pass(
    name="fake-quantize",
    requires="shapes and types inferred, constants folded",
    ensures="a tensor that is quantised and dequantised with stored scales passes one node",
    run=each_node(_join),
)
