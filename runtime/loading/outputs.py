"""Outputs that only scikit-learn's users know: maps of probabilities and labels of text."""

from __future__ import annotations

import warnings

import onnx
from onnx import TensorProto, helper

_MAPS = "ZipMap"
_ML = "ai.onnx.ml"


def plain_outputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with tensors of numbers as outputs, itself if it has no others.

    A ZipMap hands on the probabilities that it would put in maps; labels of text are left out,
    with a warning, where another output remains.
    """
    maps = {node.output[0]: node for node in model.graph.node if _is_map(node)}
    texts = [o for o in model.graph.output if o.type.tensor_type.elem_type == TensorProto.STRING]
    if not maps and not texts:
        return model
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    for node in filter(_is_map, plain.graph.node):
        node.op_type, node.domain = "Identity", ""
        del node.attribute[:]
    for output in plain.graph.output:
        if output.name in maps:
            kind, open_shape = TensorProto.FLOAT, [None, None]
            output.CopyFrom(helper.make_tensor_value_info(output.name, kind, open_shape))
    if len(texts) < len(plain.graph.output):
        _leave_out(plain.graph, {output.name for output in texts})
    return plain


def _is_map(node: onnx.NodeProto) -> bool:
    return node.op_type == _MAPS and node.domain == _ML


def _leave_out(graph: onnx.GraphProto, names: set[str]) -> None:
    """Drop the outputs `names` and the nodes that nothing else needs."""
    if not names:
        return
    kept = [output for output in graph.output if output.name not in names]
    del graph.output[:]
    graph.output.extend(kept)
    needed, nodes = {output.name for output in kept}, []
    for node in reversed(list(graph.node)):
        if needed.isdisjoint(node.output):
            continue
        nodes.append(node)
        needed.update(node.input)
        needed.update(name for attribute in node.attribute for name in _read_inside(attribute.g))
    del graph.node[:]
    graph.node.extend(reversed(nodes))
    warnings.warn(
        f"output '{min(names)}' holds text and is left out; take the largest entry of "
        f"'{kept[-1].name}' for the class",
        stacklevel=2,
    )


def _read_inside(graph: onnx.GraphProto) -> set[str]:
    return {name for node in graph.node for name in node.input}
