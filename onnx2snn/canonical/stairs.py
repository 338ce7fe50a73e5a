"""What a staircase makes superfluous: rectifiers beside it, and the same staircase again.

Rounding is monotone and keeps 0, so s * clip(round(max(x, a) / s), l, h) has the bounds
max(l, round(a / s)) and h, and so has max(f(x), a) wherever a is a step of f.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.fake_quantize import is_fake_quantize, new_bound
from onnx2snn.canonical.graph import (
    Array,
    Pass,
    bypass,
    constant,
    each_node,
    is_op,
    operand,
    producer,
    scalar,
    sole_reader,
)

_KEEPING = (
    *("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Gather", "Identity"),
    *("MaxPool", "GlobalMaxPool", "DepthToSpace", "SpaceToDepth", "Split", "Expand", "Tile"),
)
_OFF_STEP = 1e-3


@dataclass(frozen=True)
class _Bounds:
    low: float
    high: float


def _rectifier(node: gs.Node) -> _Bounds | None:
    """The bounds of Relu, or of Clip with stored ones."""
    if not is_op(node, "Relu", "Clip"):
        return None
    if is_op(node, "Relu"):
        return _Bounds(0.0, np.inf)
    bounds = []
    for position, absent in ((1, -np.inf), (2, np.inf)):
        tensor = operand(node, position)
        value = absent if tensor is None else scalar(tensor)
        if value is None:
            return None
        bounds.append(value)
    return _Bounds(*bounds)


def _absorb_before(graph: gs.Graph, node: gs.Node) -> bool:
    before = producer(node.inputs[0]) if is_fake_quantize(node) else None
    bounds = None if before is None else _rectifier(before)
    if before is None or bounds is None or sole_reader(graph, node.inputs[0]) is None:
        return False
    scale = _steps(node)[0]
    _tighten(graph, node, np.round(bounds.low / scale), np.round(bounds.high / scale))
    node.inputs[0] = before.inputs[0]
    return True


def _absorb_behind(graph: gs.Graph, node: gs.Node) -> bool:
    """A rectifier behind the staircase whose bounds are steps of it, or beyond all steps."""
    reader = sole_reader(graph, node.outputs[0]) if is_fake_quantize(node) else None
    bounds = None if reader is None else _rectifier(reader)
    if reader is None or bounds is None:
        return False
    scale, low, high = _steps(node)
    wanted = [bounds.low / scale, bounds.high / scale]
    beyond = (np.all(wanted[0] <= low), np.all(wanted[1] >= high))
    for value, outside in zip(wanted, beyond, strict=True):
        if not outside and np.any(np.abs(value - np.round(value)) > _OFF_STEP):
            return False
    if not bypass(graph, reader):
        return False
    _tighten(graph, node, np.round(wanted[0]), np.round(wanted[1]))
    return True


def _steps(node: gs.Node) -> tuple[Array, Array, Array]:
    """Scale, low and high in double precision."""
    scale, low, high = (np.asarray(constant(t), np.float64) for t in node.inputs[1:])
    return scale, low, high


def _tighten(graph: gs.Graph, node: gs.Node, lowest: Array, highest: Array) -> None:
    _, low, high = _steps(node)
    tight = {
        2: np.clip(low, lowest, highest),
        3: np.clip(high, lowest, highest),
    }
    for position, value in tight.items():
        base = node.inputs[position].name
        node.inputs[position] = new_bound(graph, node.inputs[0], base, value)


def _drop_second(graph: gs.Graph, node: gs.Node) -> bool:
    """f(move(f(x))) = move(f(x))."""
    if not is_fake_quantize(node) or any(step.ndim for step in _steps(node)):
        return False
    return _on_steps(node.inputs[0], node) and bypass(graph, node)


def _on_steps(tensor: gs.Tensor, node: gs.Node) -> bool:
    """Whether every number in `tensor` is a step of the staircase `node`."""
    scale, low, high = _steps(node)
    held = constant(tensor)
    if held is not None:
        steps = held.astype(np.float64) / scale
        whole = np.abs(steps - np.round(steps)) < _OFF_STEP
        return bool(np.all(whole & (steps > low - _OFF_STEP) & (steps < high + _OFF_STEP)))
    writer = producer(tensor)
    if writer is None:
        return False
    if is_fake_quantize(writer):
        first, lowest, highest = _steps(writer)
        within = np.all(lowest >= low) and np.all(highest <= high)
        return bool(first.shape == scale.shape and first == scale and within)
    if is_op(writer, "Concat"):
        return all(_on_steps(part, node) for part in writer.inputs)
    if is_op(writer, "Relu"):
        return bool(low <= 0 <= high) and _on_steps(writer.inputs[0], node)
    return is_op(writer, *_KEEPING) and _on_steps(writer.inputs[0], node)


STAIRS = Pass(
    name="stairs",
    requires="quantised and dequantised tensors pass one node",
    ensures="no rectifier beside a staircase that its bounds could do, no staircase twice",
    run=each_node(
        lambda graph, node: (
            _absorb_before(graph, node) or _absorb_behind(graph, node) or _drop_second(graph, node)
        )
    ),
)
