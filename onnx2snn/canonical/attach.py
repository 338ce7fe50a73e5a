"""Gives an imported graph back the heavy weights that were kept out of other tools."""

from __future__ import annotations

import onnx_graphsurgeon as gs
from onnx_graphsurgeon.ir.tensor import LazyValues

from onnx2snn.runtime.loading.detach import Weights


def attach(graph: gs.Graph, weights: Weights) -> None:
    """Give an imported graph the weights that `detach` set aside."""
    inputs = list(graph.inputs)
    graph.inputs = [tensor for tensor in inputs if tensor.name not in weights]
    for tensor in inputs:
        if tensor.name in weights:
            tensor.to_constant(LazyValues(weights[tensor.name]))
