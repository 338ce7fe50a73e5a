"""MaxUnpool to a stated shape, as a scattering.

The places that MaxPool hands on count the cells of the tensor it read, so they count those of
the stated shape, and onnxruntime takes them so. onnx's own reference counts in the shape that
kernel and strides imply and adds empty cells after that, which undoes no pooling.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.editor import Editor
from onnx2snn.canonical.graph import Pass, each_node, is_op, operand


def _scatter(graph: gs.Graph, node: gs.Node) -> bool:
    """MaxUnpool(x, i, s) = reshape(scatter(zeros, i, x), s)."""
    shape = operand(node, 2) if is_op(node, "MaxUnpool") else None
    kind = node.inputs[0].dtype if shape is not None else None
    if shape is None or kind is None:
        return False
    editor = Editor(graph, node)
    count = editor.add("ReduceProd", shape, keepdims=1)
    zeros = editor.add("Expand", editor.store("zero", np.zeros(1, kind)), count)
    places = editor.add("Reshape", node.inputs[1], editor.integers("places_flat", -1))
    values = editor.add("Reshape", node.inputs[0], editor.integers("values_flat", -1))
    scattered = editor.add("ScatterElements", zeros, places, values, axis=0)
    return editor.finish("Reshape", scattered, shape)


MAX_UNPOOL = Pass(
    name="max-unpool",
    requires="types inferred",
    ensures="the shape that MaxUnpool writes follows from its attributes",
    run=each_node(_scatter),
)
