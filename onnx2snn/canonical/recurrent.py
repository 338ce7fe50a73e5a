"""LSTM, GRU and RNN of a known number of steps, written out one step after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.editor import Editor
from onnx2snn.canonical.graph import Array, Pass, constant, each_node, is_op, operand, producer
from onnx2snn.canonical.inline import finish
from onnx2snn.canonical.recurrent_cells import KINDS, Cell, State
from onnx2snn.canonical.unroll import LARGEST

_FUNCTIONS = ("Relu", "Tanh", "Sigmoid", "HardSigmoid", "Softsign", "Softplus", "Elu", "LeakyRelu")
_LEFT_ALONE = ("clip", "activation_alpha", "activation_beta")
_NODES_PER_STEP = 16
_MOVES = ("Expand", "Slice", "Reshape", "Transpose", "Unsqueeze", "Squeeze", "Identity", "Cast")


@dataclass(frozen=True)
class _Weights:
    """W, R and b of all directions; b has the part of x first, then that of h."""

    inward: Array
    recurrent: Array
    bias: Array


def _unroll(graph: gs.Graph, node: gs.Node) -> bool:
    if not is_op(node, *KINDS) or not _is_plain(node):
        return False
    weights, steps = _weights(node), _steps(node)
    if weights is None or steps is None:
        return False
    count = len(weights.inward)
    if not 0 < steps * count * _NODES_PER_STEP <= LARGEST:
        return False
    editor, x = Editor(graph, node), node.inputs[0]
    if node.attrs.get("layout", 0):
        x = editor.add("Transpose", x, perm=[1, 0, 2])
    runs = [_run(editor, x, weights, steps, direction) for direction in range(count)]
    results = [_joined(editor, [rows for rows, _ in runs], 1)]
    results += [_joined(editor, ends, 0) for ends in zip(*(end for _, end in runs), strict=True)]
    if node.attrs.get("layout", 0):
        turned = zip(results, ([2, 0, 1, 3], [1, 0, 2], [1, 0, 2]), strict=False)
        results = [editor.add("Transpose", y, perm=perm) for y, perm in turned]
    return finish(graph, node, results[: len(node.outputs)])


def _is_plain(node: gs.Node) -> bool:
    """Whether it has none of the options that are left alone."""
    functions = node.attrs.get("activations", KINDS[node.op].functions)
    odd = any(key in node.attrs for key in _LEFT_ALONE) or node.attrs.get("input_forget", 0)
    lengths, peepholes = operand(node, 4), operand(node, 7)
    whole = lengths is None or _is_filled(lengths, _steps(node) or 0)
    return not odd and whole and peepholes is None and all(f in _FUNCTIONS for f in functions)


def _weights(node: gs.Node) -> _Weights | None:
    inward, recurrent, bias = (constant(operand(node, position)) for position in (1, 2, 3))
    if inward is None or recurrent is None or (bias is None and operand(node, 3) is not None):
        return None
    if bias is None:
        bias = np.zeros((len(inward), 2 * inward.shape[1]), inward.dtype)
    return _Weights(inward, recurrent, bias)


def _steps(node: gs.Node) -> int | None:
    shape = node.inputs[0].shape
    steps = None if shape is None else shape[1 if node.attrs.get("layout", 0) else 0]
    return steps if isinstance(steps, int) else None


def _joined(editor: Editor, parts: Sequence[gs.Tensor], axis: int) -> gs.Tensor:
    """The parts, one per direction, along a new axis."""
    where = editor.integers("directions", axis)
    return editor.add("Concat", *(editor.add("Unsqueeze", x, where) for x in parts), axis=axis)


def _run(
    editor: Editor, x: gs.Tensor, weights: _Weights, steps: int, direction: int
) -> tuple[gs.Tensor, State]:
    """The states h of one direction, stacked along time, and the state at its end."""
    node = editor.node
    kind, width = KINDS[node.op], weights.recurrent.shape[2]
    own, behind = np.split(weights.bias[direction], 2)
    reset_behind = node.op == "GRU" and bool(node.attrs.get("linear_before_reset", 0))
    last = slice(2 * width, 3 * width)
    inside = behind[last]
    fixed = own + behind
    if reset_behind:
        fixed[last] = own[last]
    recurrent = weights.recurrent[direction].T
    functions = node.attrs.get("activations", kind.functions * len(weights.inward))
    each = len(functions) // len(weights.inward)
    cell = Cell(
        editor=editor,
        width=width,
        functions=tuple(functions[direction * each : (direction + 1) * each]),
        weights={
            start: editor.store(f"R{start}_{direction}", recurrent[:, start * width : end * width])
            for start, end in zip(kind.runs, kind.runs[1:], strict=False)
        },
        behind=editor.store(f"behind_{direction}", inside) if reset_behind else None,
    )
    entering = editor.add("MatMul", x, editor.store("W", weights.inward[direction].T))
    entering = editor.add("Add", entering, editor.store("bias", fixed))
    backward = direction == 1 or node.attrs.get("direction", "forward") == "reverse"
    state, rows, axis = _start(editor, direction), [], editor.integers("time", 0)
    for step in reversed(range(steps)) if backward else range(steps):
        place = editor.store("step", np.asarray(step, np.int64))
        state = kind.step(cell, editor.add("Gather", entering, place, axis=0), state)
        rows.append(editor.add("Unsqueeze", state[0], axis))
    return editor.add("Concat", *(rows[::-1] if backward else rows), axis=0), state


def _start(editor: Editor, direction: int) -> State:
    """The given state of one direction; nothing where it is zero."""
    node = editor.node
    given = [operand(node, 5), operand(node, 6)][: 2 if node.op == "LSTM" else 1]
    known = [tensor for tensor in given if tensor is not None and not _is_filled(tensor, 0)]
    if not known:
        return ()
    axis, place = int(node.attrs.get("layout", 0)), np.asarray(direction, np.int64)
    kind = np.float32 if known[0].dtype is None else known[0].dtype
    zero = editor.store("zero", np.zeros(1, kind))
    whole = [editor.add("Mul", known[0], zero) if x is None else x for x in given]
    return tuple(
        editor.add("Gather", x, editor.store("direction", place), axis=axis) for x in whole
    )


def _is_filled(tensor: gs.Tensor, number: int) -> bool:
    """Whether it holds one number in whatever shape, as exporters write what is not given."""
    held, writer = constant(tensor), producer(tensor)
    if held is not None:
        return bool(np.all(held == number))
    if is_op(writer, "ConstantOfShape") and writer is not None:
        fill = writer.attrs.get("value")
        return bool(np.all((0 if fill is None else fill.values) == np.asarray(number)))
    return is_op(writer, *_MOVES) and writer is not None and _is_filled(writer.inputs[0], number)


RECURRENT = Pass(
    name="recurrent",
    requires="constants folded, shapes inferred",
    ensures="an LSTM, GRU or RNN has an open or large number of steps, or an option left alone",
    run=each_node(_unroll),
)
