"""Loop and Scan of a known number of steps: their bodies, one after another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.editor import Editor
from onnx2snn.canonical.graph import Pass, constant, each_node, is_op, operand, producer, scalar
from onnx2snn.canonical.inline import finish, inline

LARGEST = 4096
"""Nodes that a loop may grow to."""


def _loop(graph: gs.Graph, node: gs.Node) -> bool:
    """Loop(M, true, v): M times v, w = body(i, true, v), with the w of all steps stacked."""
    if not is_op(node, "Loop"):
        return False
    body, trips = node.attrs["body"], scalar(operand(node, 0))
    steps = None if trips is None else int(trips)
    carried, editor = list(node.inputs[2:]), Editor(graph, node)
    collected: list[list[gs.Tensor]] = [[] for _ in body.outputs[1 + len(carried) :]]
    if steps is None or not _fits(body, steps) or (steps == 0 and collected):
        return False
    condition = operand(node, 1)
    if not (condition is None or _is_true(condition, body)) or not _is_true(body.outputs[0], body):
        return False
    true = editor.store("true", np.asarray(True))
    for step in range(steps):
        counter = editor.store(f"step{step}", np.asarray(step, np.int64))
        _, *results = inline(graph, node, body, [counter, true, *carried])
        carried, written = results[: len(carried)], results[len(carried) :]
        for row, tensor in zip(collected, written, strict=True):
            row.append(tensor)
    return finish(graph, node, [*carried, *(_stacked(editor, row, 0) for row in collected)])


def _scan(graph: gs.Graph, node: gs.Node) -> bool:
    """Scan(v, x): for each slice x_k, v, w = body(v, x_k), with the w of all steps stacked."""
    if not is_op(node, "Scan"):
        return False
    body, count = node.attrs["body"], int(node.attrs["num_scan_inputs"])
    states, rows = len(node.inputs) - count, list(node.inputs[len(node.inputs) - count :])
    axes = node.attrs.get("scan_input_axes", [0] * count)
    steps = _length(rows, axes)
    if steps is None or steps < 1 or not _fits(body, steps):
        return False
    backward = node.attrs.get("scan_input_directions", [0] * count)
    carried, editor = list(node.inputs[:states]), Editor(graph, node)
    collected: list[list[gs.Tensor]] = [[] for _ in body.outputs[states:]]
    for step in range(steps):
        places = (steps - 1 - step if turned else step for turned in backward)
        slices = [
            editor.add("Gather", x, editor.store("place", np.asarray(place, np.int64)), axis=axis)
            for x, axis, place in zip(rows, axes, places, strict=True)
        ]
        results = inline(graph, node, body, [*carried, *slices])
        carried = results[:states]
        for row, tensor in zip(collected, results[states:], strict=True):
            row.append(tensor)
    ends = node.attrs.get("scan_output_axes", [0] * len(collected))
    turned = node.attrs.get("scan_output_directions", [0] * len(collected))
    stacks = [
        _stacked(editor, row[::-1] if back else row, axis)
        for row, axis, back in zip(collected, ends, turned, strict=True)
    ]
    return finish(graph, node, [*carried, *stacks])


def _fits(body: gs.Graph, steps: int) -> bool:
    return steps * len(body.nodes) <= LARGEST


def _length(rows: Sequence[gs.Tensor], axes: Sequence[int]) -> int | None:
    """The common extent of the tensors along their axes, None where it is open."""
    for tensor, axis in zip(rows, axes, strict=True):
        extent = None if tensor.shape is None else tensor.shape[axis]
        if isinstance(extent, int):
            return extent
    return None


def _is_true(tensor: gs.Tensor, body: gs.Graph) -> bool:
    """Whether a condition is a stored one or that which the body was entered with."""
    if tensor is body.inputs[1]:
        return True
    stored, writer = constant(tensor), producer(tensor)
    if writer is not None and is_op(writer, "Constant"):
        value = writer.attrs.get("value")
        stored = np.asarray(value.values) if isinstance(value, gs.Constant) else None
    if stored is not None:
        return bool(stored.size == 1 and stored.reshape(-1)[0])
    if writer is None or not is_op(writer, "Identity", "Cast"):
        return False
    return _is_true(writer.inputs[0], body)


def _stacked(editor: Editor, tensors: Sequence[gs.Tensor], axis: int) -> gs.Tensor:
    where = editor.integers("axis", axis)
    return editor.add("Concat", *(editor.add("Unsqueeze", x, where) for x in tensors), axis=axis)


UNROLL = Pass(
    name="unroll",
    requires="constants folded, shapes inferred",
    ensures=f"a Loop or Scan stops on data, has an open number of steps or > {LARGEST} nodes",
    run=lambda graph: any([each_node(_loop)(graph), each_node(_scan)(graph)]),
)
