"""Range of vectors of one number, which the standard's own function bodies ask for."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.graph import Pass, each_node, insert_new, is_op, new_constant, rank


def _scalar_bounds(graph: gs.Graph, node: gs.Node) -> bool:
    """Range(a, b, c) takes scalars; onnxruntime lets a vector pass while its rank is unknown."""
    if not is_op(node, "Range"):
        return False
    vectors = [i for i, tensor in enumerate(node.inputs) if rank(tensor) == 1]
    for position in vectors:
        shape = new_constant(graph, f"{node.outputs[0].name}_scalar", np.zeros(0, np.int64))
        bound = [node.inputs[position], shape]
        node.inputs[position] = insert_new(graph, node, "Reshape", bound, [])
    return bool(vectors)


SCALAR_RANGES = Pass(
    name="scalar-ranges",
    requires="shapes inferred",
    ensures="the bounds of a Range are scalars",
    run=each_node(_scalar_bounds),
)
