"""Writes a matched graph and its calibrated parameters as an ordinary ONNX model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from onnx2snn.calibration.walk import SiteParameters
from onnx2snn.ops import BY_OP_TYPE, DOMAIN, DOMAIN_VERSION
from onnx2snn.ops.node import Node
from onnx2snn.ops.operator import PARAMETERS_PER_SITE
from onnx2snn.ops.schema import BODY_OPSET, function_body
from onnx2snn.runtime.captures import standalone
from onnx2snn.runtime.graph import Graph

IR_VERSION = 10


def _node_proto(node: Node) -> onnx.NodeProto:
    node = standalone(node, node.inputs)
    attributes = {
        name: numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        for name, value in node.attributes.items()
    }
    return helper.make_node(
        node.op_type,
        list(node.inputs),
        list(node.outputs),
        name=node.name,
        domain=node.domain,
        **attributes,
    )


def _stored(parameters: SiteParameters) -> dict[str, NDArray[Any]]:
    """In single precision, or in double what follows from the model without fitting."""
    arrays = {key: getattr(parameters, key).to("cpu").numpy() for key in PARAMETERS_PER_SITE}
    exact = {np.dtype(np.float64)}
    return {k: a if a.dtype in exact else a.astype(np.float32) for k, a in arrays.items()}


def _with_parameters(
    node: Node, chosen: Mapping[str, SiteParameters]
) -> tuple[Node, list[onnx.TensorProto]]:
    """The node with its sites' parameters as further inputs, and their initializers."""
    operator = BY_OP_TYPE[node.op_type]
    inputs = [*node.inputs, *[""] * (len(operator.operands) - len(node.inputs))]
    tensors = []
    for site in operator.lower(node).sites:
        for key, array in _stored(chosen[site.name]).items():
            name = f"{site.name}/{key}"
            tensors.append(numpy_helper.from_array(array, name))
            inputs.append(name)
    return (
        Node(node.op_type, tuple(inputs), node.outputs, node.attributes, node.name, node.domain),
        tensors,
    )


def _functions(nodes: list[Node], opset: int) -> list[onnx.FunctionProto]:
    """One body per spiking operator in use, wide enough for the node with most sites."""
    widest: dict[str, int] = {}
    for node in nodes:
        if node.domain == DOMAIN:
            parameters = len(node.inputs) - len(BY_OP_TYPE[node.op_type].operands)
            widest[node.op_type] = max(widest.get(node.op_type, 0), parameters)
    return [function_body(BY_OP_TYPE[name], width, opset) for name, width in widest.items()]


def annotate(
    graph: Graph,
    canonical: onnx.ModelProto,
    chosen: Mapping[str, SiteParameters],
    metadata: Mapping[str, str],
) -> onnx.ModelProto:
    """The spiking model: canonical weights, spiking nodes, parameters, bodies, metadata."""
    nodes, initializers = [], list(canonical.graph.initializer)
    for node in graph.nodes:
        if node.domain == DOMAIN:
            node, tensors = _with_parameters(node, chosen)
            initializers.extend(tensors)
        nodes.append(node)
    opset = max(graph.opsets.get("", BODY_OPSET), BODY_OPSET)
    used = {node.domain for node in nodes} - {"", DOMAIN}
    proto = helper.make_graph(
        [_node_proto(node) for node in nodes],
        canonical.graph.name,
        list(canonical.graph.input),
        list(canonical.graph.output),
    )
    proto.initializer.extend(initializers)
    model = helper.make_model(
        proto,
        producer_name="onnx2snn",
        ir_version=max(IR_VERSION, canonical.ir_version),
        opset_imports=[
            helper.make_opsetid("", opset),
            helper.make_opsetid(DOMAIN, DOMAIN_VERSION),
            *(helper.make_opsetid(d, graph.opsets.get(d, 1)) for d in sorted(used)),
        ],
        functions=[
            *_functions(nodes, opset),
            *(f for f in canonical.functions if f.domain in used),
        ],
    )
    helper.set_model_props(model, dict(metadata))
    return model
