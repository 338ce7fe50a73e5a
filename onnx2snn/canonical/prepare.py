"""The work on the model as a file: one domain name, no functions, one opset."""

from __future__ import annotations

from collections.abc import Iterable

import onnx
from onnx import helper, inliner

from onnx2snn.canonical.bodies import adopt
from onnx2snn.canonical.domain import CANONICAL_DOMAIN
from onnx2snn.canonical.expand import expand
from onnx2snn.canonical.upgrade import opset_of, upgrade
from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.loading.detach import lower_constants

_LAYOUTS = ("com.microsoft.nchwc", "com.ms.internal.nhwc")


def prepare(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model without functions or Constant nodes, in the target opset.

    requires: heavy weights detached.
    ensures:  every output of the graph is written by a node.
    """
    _refuse_layouts(model)
    _name_default_domain(model)
    _drop_canonical_functions(model)
    adopt(model)
    if model.functions:
        model = _inlined(model)
    lower_constants(model)
    _write_outputs_by_nodes(model.graph)
    _name_early_layer_norm(model)
    model = expand(upgrade(model))
    lower_constants(model)
    return model


def _refuse_layouts(model: onnx.ModelProto) -> None:
    """What onnxruntime writes for one kind of processor has no standard form."""
    for node in model.graph.node:
        if node.domain in _LAYOUTS:
            raise ModelError(
                f"node {node.name!r}: {node.op_type} of domain {node.domain!r} is in a layout for "
                "one kind of processor; convert the original model, or save the optimised one at "
                "level extended at most"
            )


def _name_early_layer_norm(model: onnx.ModelProto) -> None:
    """onnxruntime's own operators of the default domain get their true one.

    LayerNormalization was one before opset 17, SimplifiedLayerNormalization always is.
    """
    own = {"SimplifiedLayerNormalization"}
    if opset_of(model) < 17:
        own.add("LayerNormalization")
    found = [node for node in model.graph.node if node.op_type in own and not node.domain]
    for node in found:
        node.domain = "com.microsoft"
    if found and not any(entry.domain == "com.microsoft" for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def _drop_canonical_functions(model: onnx.ModelProto) -> None:
    """Leave out the bodies of the canonical form's own operators, which stay nodes."""
    others = [function for function in model.functions if function.domain != CANONICAL_DOMAIN]
    if len(others) < len(model.functions):
        del model.functions[:]
        model.functions.extend(others)


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return inliner.inline_local_functions(model, convert_version=True)
    except (RuntimeError, ValueError, TypeError) as error:
        names = ", ".join(repr(function.name) for function in model.functions[:3])
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"local functions {names} cannot be inlined: {reason}") from error


def _write_outputs_by_nodes(graph: onnx.GraphProto) -> None:
    """y = Identity(x) for each output that is an input or a stored tensor itself.

    An output keeps its name, so the stored tensor is renamed; an input cannot be.
    """
    stored = {tensor.name: tensor for tensor in graph.initializer}
    for output in graph.output:
        if output.name not in stored:
            continue
        held = f"{output.name}_stored"
        stored[output.name].name = held
        for node in graph.node:
            for position, name in enumerate(node.input):
                if name == output.name:
                    node.input[position] = held
        graph.node.append(
            helper.make_node("Identity", [held], [output.name], f"{output.name}_identity")
        )


def _name_default_domain(model: onnx.ModelProto) -> None:
    """Call the default domain "", never by its other name "ai.onnx"."""
    for opsets in (model.opset_import, *(f.opset_import for f in model.functions)):
        for entry in opsets:
            if entry.domain == "ai.onnx":
                entry.domain = ""
    _rename(model.graph.node)
    for function in model.functions:
        _rename(function.node)


def _rename(nodes: Iterable[onnx.NodeProto]) -> None:
    for node in nodes:
        if node.domain == "ai.onnx":
            node.domain = ""
        for attribute in node.attribute:
            _rename(attribute.g.node)
            for graph in attribute.graphs:
                _rename(graph.node)
