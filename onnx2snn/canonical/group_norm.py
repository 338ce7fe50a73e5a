"""GroupNormalization and MeanVarianceNormalization in terms of simpler operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.graph import Pass, each_node, insert_new, is_op, new_constant, rank, replace

_PER_CHANNEL = 21
_TINY = 1e-18
_VARIANCE_AXES = [0, 2, 3]


def _ints(graph: gs.Graph, node: gs.Node, what: str, values: list[int]) -> gs.Constant:
    base = f"{node.outputs[0].name}_{what}"
    return new_constant(graph, base, np.asarray(values, dtype=np.int64))


def _group_norm(graph: gs.Graph, node: gs.Node) -> bool:
    """Of x in G groups: instance normalisation of [N, G, rest], and back to the shape of x.

    Before opset 21 scale and bias are one per group, and then one per channel.
    """
    source, scale, bias = node.inputs
    shape, groups = source.shape, node.attrs["num_groups"]
    if shape is None or len(shape) < 3 or node.outputs[0].dtype is None:
        return False
    per_group = graph.opset < _PER_CHANNEL
    inner = [scale, bias] if per_group else _neutral(graph, node, groups)
    folded = _ints(graph, node, "groups", [0, groups, -1])
    grouped = insert_new(graph, node, "Reshape", [source, folded], [shape[0], groups, None])
    epsilon = {"epsilon": node.attrs.get("epsilon", 1e-5)}
    normal = insert_new(
        graph, node, "InstanceNormalization", [grouped, *inner], grouped.shape, epsilon
    )
    back = _shape_of(graph, node, source)
    if per_group:
        replace(graph, node, "Reshape", [normal, back])
        return True
    result = insert_new(graph, node, "Reshape", [normal, back], shape)
    channels = _ints(graph, node, "channels", [-1, *(1 for _ in shape[2:])])
    wide = [
        insert_new(graph, node, "Reshape", [held, channels], [shape[1], *(1 for _ in shape[2:])])
        for held in (scale, bias)
    ]
    gained = insert_new(graph, node, "Mul", [result, wide[0]], shape)
    replace(graph, node, "Add", [gained, wide[1]])
    return True


def _neutral(graph: gs.Graph, node: gs.Node, groups: int) -> list[gs.Constant]:
    """Ones and zeros, one per group."""
    kind, base = np.dtype(node.outputs[0].dtype), node.outputs[0].name
    return [
        new_constant(graph, f"{base}_ones", np.ones(groups, kind)),
        new_constant(graph, f"{base}_zeros", np.zeros(groups, kind)),
    ]


def _shape_of(graph: gs.Graph, node: gs.Node, source: gs.Tensor) -> gs.Tensor:
    """The shape of x to come back to: stored if all but one of its inner sizes are known."""
    inner: list[Any] = list(source.shape)[1:]
    known = [size if isinstance(size, int) else -1 for size in inner]
    if known.count(-1) <= 1:
        return _ints(graph, node, "shape", [0, *known])
    return insert_new(graph, node, "Shape", [source], [len(inner) + 1])


def _mean_variance(graph: gs.Graph, node: gs.Node) -> bool:
    """(x - mean(x)) / sqrt(var(x) + tiny), which stands for the 1e-9 beside the root."""
    source, result = node.inputs[0], node.outputs[0]
    count = rank(source)
    if count is None or result.dtype is None:
        return False
    shape = source.shape
    axes = _ints(graph, node, "axes", [int(a) for a in node.attrs.get("axes", _VARIANCE_AXES)])
    kind = np.dtype(result.dtype)
    tiny = max(_TINY, float(np.finfo(kind).smallest_subnormal))
    offset = new_constant(graph, f"{result.name}_epsilon", np.asarray(tiny, kind))

    def mean(of: gs.Tensor) -> gs.Tensor:
        return insert_new(graph, node, "ReduceMean", [of, axes], None, {"keepdims": 1})

    centred = insert_new(graph, node, "Sub", [source, mean(source)], shape)
    variance = mean(insert_new(graph, node, "Mul", [centred, centred], shape))
    shifted = insert_new(graph, node, "Add", [variance, offset], None)
    deviation = insert_new(graph, node, "Sqrt", [shifted], None)
    replace(graph, node, "Div", [centred, deviation])
    return True


def _rewrite(graph: gs.Graph, node: gs.Node) -> bool:
    if is_op(node, "GroupNormalization"):
        return _group_norm(graph, node)
    return is_op(node, "MeanVarianceNormalization") and _mean_variance(graph, node)


GROUP_NORM = Pass(
    name="group-norm",
    requires="types inferred",
    ensures="normalisation is one of layers, instances or root mean squares",
    run=each_node(_rewrite),
)
