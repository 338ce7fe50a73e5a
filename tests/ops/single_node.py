"""Runs single nodes: a source or spiking node in onnxruntime, a lowered one in its limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import NodeProto, helper, numpy_helper, parser
from operator_row import Array, Row

from onnx2snn.ops import BY_SOURCE, DOMAIN, DOMAIN_VERSION, OPERATORS
from onnx2snn.ops.lowering import Site
from onnx2snn.ops.node import Node
from onnx2snn.ops.schema import BODY_OPSET, function_body, register_schemas
from onnx2snn.runtime.linear import LINEAR

register_schemas(OPERATORS)


def names(row: Row) -> list[str]:
    return ["" if a is None else f"x{n}" for n, a in enumerate(row.operands)]


def feed(row: Row) -> dict[str, Array]:
    return {f"x{n}": a for n, a in enumerate(row.operands) if a is not None}


def run_node(node: NodeProto, row: Row, parameters: int = 0) -> Array:
    """The node in a model of its own, checked by onnx and run by onnxruntime."""
    return run_model(model_of(node, row, parameters), row)


def run_model(model: onnx.ModelProto, row: Row) -> Array:
    """The model, checked by onnx and run by onnxruntime on the operands of the row."""
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, feed(row))[0])


def model_of(
    node: NodeProto, row: Row, parameters: int = 0, opset: int = BODY_OPSET
) -> onnx.ModelProto:
    stored = [numpy_helper.from_array(np.ones(1, "f"), f"p{n}") for n in range(parameters)]
    imports = [helper.make_opsetid("", opset), helper.make_opsetid(DOMAIN, DOMAIN_VERSION)]
    bodies = [function_body(BY_SOURCE[row.source], parameters, opset)]
    return helper.make_model(
        graph_of([node], row, stored), opset_imports=imports, ir_version=10, functions=bodies
    )


def graph_of(
    nodes: Sequence[NodeProto], row: Row, stored: Sequence[onnx.TensorProto]
) -> onnx.GraphProto:
    inputs = [
        helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, a.shape)
        for n, a in feed(row).items()
    ]
    shape = [None] * row.rank
    output = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)
    return helper.make_graph(nodes, "row", inputs, [output], stored)


def source_nodes(row: Row, operands: Sequence[str]) -> list[NodeProto]:
    """The source's nodes between `operands` (x0, x1, .. in text) and y."""
    if row.nodes:
        text = f"g ({', '.join(f'float[] x{n}' for n in range(4))}) => (float[] y) {{{row.nodes}}}"
        nodes = list(parser.parse_graph(text).node)
        called = {f"x{n}": operand for n, operand in enumerate(operands)}
        for node in nodes:
            node.input[:] = [called.get(name, name) for name in node.input]
        return nodes
    if row.source in ("FakeQuantize", "DynamicFakeQuantize"):
        return quantised(row, operands)
    names = [*operands, *(f"stored{n}" for n in range(len(row.stored)))]
    return [helper.make_node(row.source, names, ["y"], "operator", **row.attributes)]


def source_stored(row: Row) -> list[onnx.TensorProto]:
    return [numpy_helper.from_array(a, f"stored{n}") for n, a in enumerate(row.stored)]


def quantised(row: Row, operands: Sequence[str]) -> list[NodeProto]:
    """The pair of ONNX nodes that a staircase stands for."""
    if row.source == "DynamicFakeQuantize":
        quantize = helper.make_node("DynamicQuantizeLinear", operands, ["q", "s", "z"])
        return [quantize, helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], "operator")]
    zero = -int(np.asarray(row.operands[2]).reshape(-1)[0])
    scale = np.asarray(row.operands[1])
    axis = {"axis": int(np.argmax(scale.shape)) - scale.ndim} if scale.ndim else {}
    stored = [
        constant("s", scale.reshape(-1) if scale.ndim else scale),
        constant("z", np.full(scale.size if scale.ndim else (), zero, np.uint8)),
    ]
    quantize = helper.make_node("QuantizeLinear", [operands[0], "s", "z"], ["q"], **axis)
    back = helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], "operator", **axis)
    return [*stored, quantize, back]


def constant(name: str, value: Array) -> NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value))


def source_result(row: Row) -> Array:
    """What onnxruntime makes of the source; Swish, unknown to it, by its formula."""
    if row.source == "Swish":
        x = feed(row)["x0"].astype(np.float64)
        return np.asarray(x / (1 + np.exp(-row.attributes.get("alpha", 1.0) * x)))
    present = " ".join(names(row)).rstrip().split(" ")
    graph = graph_of(source_nodes(row, present), row, source_stored(row))
    opset = 23 if row.source == "RMSNormalization" else BODY_OPSET
    imports = [helper.make_opsetid("", opset)]
    return run_model(helper.make_model(graph, opset_imports=imports, ir_version=10), row)


def spiking_node(row: Row, **more: Any) -> tuple[NodeProto, int]:
    """The spiking node with three parameters per site, and their number."""
    operator = BY_SOURCE[row.source]
    attributes = {**row.attributes, **row.extra}
    sites = operator.lower(Node(operator.op_type, tuple(names(row)), ("y",), attributes, "n")).sites
    parameters = [f"p{n}" for n in range(3 * len(sites))]
    padding = [""] * (len(operator.operands) - len(row.operands))
    inputs = [*names(row), *padding, *parameters]
    node = helper.make_node(
        operator.op_type, inputs, ["y"], "n", domain=DOMAIN, **(attributes | more)
    )
    return node, len(parameters)


def lowered_result(row: Row) -> Array:
    """The lowered form in the limit: every site replaced by its target function."""
    operator = BY_SOURCE[row.source]
    node = Node(
        operator.op_type, tuple(names(row)), ("y",), {**row.attributes, **row.extra}, "node"
    )
    lowered = operator.lower(node)
    known = {n: torch.from_numpy(a) for n, a in {**feed(row), **lowered.constants}.items()}
    for step in lowered.steps:
        if isinstance(step, Site):
            assert step.target.arity == len(step.operands)
            known[step.output] = step.target(*(known[name] for name in step.operands))
            continue
        operands = [known[name] if name else None for name in step.inputs]
        results = LINEAR[step.op_type].apply(operands, step.attributes)
        known.update(zip(step.outputs, results, strict=True))
    return known["y"].numpy()
