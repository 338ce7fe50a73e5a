"""DFT and STFT of constant size: products with a stored matrix, linear in the signal."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.editor import Editor
from onnx2snn.canonical.graph import Array, Pass, constant, each_node, is_op, operand, rank, scalar

_LARGEST = 1 << 24
"""Entries of a matrix."""


def _waves(cells: int, length: int, bins: int, inverse: bool) -> Array:
    """exp(-2 pi i j k / length) for cells j and bins k, as pairs [cells, 2, bins, 2].

    Axis 1 is the part of the operand, the last axis that of the result; the conjugate over
    `length` if inverse. Of more cells than `length` only the first count.
    """
    turns = np.outer(np.arange(cells), np.arange(bins)) % length / length
    turns = (1 if inverse else -1) * 2 * np.pi * turns
    real, imaginary = np.cos(turns), np.sin(turns)
    rows = np.stack([real, imaginary], -1), np.stack([-imaginary, real], -1)
    waves = np.stack(rows, 1) / (length if inverse else 1)
    waves[length:] = 0
    return waves


def _dft(graph: gs.Graph, node: gs.Node) -> bool:
    """DFT(x) = M x along one axis of x [.., parts]."""
    if not is_op(node, "DFT"):
        return False
    x, count = node.inputs[0], rank(node.inputs[0])
    axis = scalar(operand(node, 2)) if operand(node, 2) is not None else -2
    size = scalar(operand(node, 1))
    if count is None or axis is None or (size is None and operand(node, 1) is not None):
        return False
    place = int(axis) % count
    cells, parts = x.shape[place], x.shape[-1]
    if not isinstance(cells, int) or parts not in (1, 2) or place == count - 1:
        return False
    length = cells if size is None else int(size)
    inverse, onesided = (bool(node.attrs.get(key, 0)) for key in ("inverse", "onesided"))
    bins = length // 2 + 1 if onesided else length
    if (inverse and onesided) or cells * bins * 4 > _LARGEST:
        return False
    editor = Editor(graph, node)
    kind = np.float32 if x.dtype is None else x.dtype
    matrix = _waves(cells, length, bins, inverse)[:, :parts].reshape(cells * parts, bins * 2)
    order = [*(i for i in range(count - 1) if i != place), place, count - 1]
    x = editor.add("Transpose", x, perm=order)
    x = editor.add("Reshape", x, editor.integers("row", *[0] * (count - 2), cells * parts))
    x = editor.add("MatMul", x, editor.store("waves", matrix.astype(kind)))
    x = editor.add("Reshape", x, editor.integers("pairs", *[0] * (count - 2), bins, 2))
    return editor.finish("Transpose", x, perm=[order.index(i) for i in range(count)])


def _stft(graph: gs.Graph, node: gs.Node) -> bool:
    """STFT(x, step, window) of a real signal is a convolution with windowed waves."""
    if not is_op(node, "STFT"):
        return False
    x, window = node.inputs[0], constant(operand(node, 2))
    step, size = scalar(operand(node, 1)), scalar(operand(node, 3))
    real = x.shape is not None and (len(x.shape) == 2 or x.shape[-1] == 1)
    given = (window is not None or operand(node, 2) is None) and (
        size is not None or operand(node, 3) is None
    )
    if not real or not given or step is None or (window is None and size is None):
        return False
    length = int(size) if size is not None else len(np.asarray(window))
    bins = length // 2 + 1 if node.attrs.get("onesided", 1) else length
    waves = _waves(length, length, bins, inverse=False)[:, 0]
    if window is not None:
        if len(window) != length:
            return False
        waves = waves * window.astype(np.float64)[:, None, None]
    editor = Editor(graph, node)
    kind = np.float32 if x.dtype is None else x.dtype
    weight = waves.reshape(length, bins * 2).T[:, None].astype(kind)
    row = editor.add("Reshape", x, editor.integers("row", 0, 1, -1))
    y = editor.add("Conv", row, editor.store("waves", weight), strides=[int(step)])
    y = editor.add("Transpose", y, perm=[0, 2, 1])
    return editor.finish("Reshape", y, editor.integers("pairs", 0, 0, bins, 2))


FOURIER = Pass(
    name="fourier",
    requires="shapes inferred, constants folded",
    ensures="a DFT or STFT is of an open size, or of a complex signal in frames",
    run=lambda graph: any([each_node(_dft)(graph), each_node(_stft)(graph)]),
)
