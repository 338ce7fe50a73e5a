"""Runs single nodes: a source or spiking node in onnxruntime, a lowered one in its limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import NodeProto, helper, numpy_helper
from operator_rows import Array, Row

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
    return run_nodes([node], row, parameters)


def run_nodes(nodes: list[NodeProto], row: Row, parameters: int = 0) -> Array:
    """The nodes in a model of their own, checked by onnx and run by onnxruntime."""
    model = model_of_nodes(nodes, row, parameters)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, feed(row))[0])


def model_of(node: NodeProto, row: Row, parameters: int = 0) -> onnx.ModelProto:
    return model_of_nodes([node], row, parameters)


def model_of_nodes(nodes: list[NodeProto], row: Row, parameters: int = 0) -> onnx.ModelProto:
    inputs = [
        helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, a.shape)
        for n, a in feed(row).items()
    ]
    ranks = [""] * row.operands[0].ndim if row.operands[0] is not None else []
    output = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None for _ in ranks])
    stored = [numpy_helper.from_array(np.ones(1, "f"), f"p{n}") for n in range(parameters)]
    graph = helper.make_graph(nodes, "row", inputs, [output], stored)
    imports = [helper.make_opsetid("", BODY_OPSET), helper.make_opsetid(DOMAIN, DOMAIN_VERSION)]
    bodies = [function_body(BY_SOURCE[row.source], parameters, BODY_OPSET)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10, functions=bodies)


def source_nodes(row: Row, operands: list[str]) -> list[NodeProto]:
    """The ONNX nodes that the spiking one stands for, from `operands` to `y`."""
    if row.source == "FakeQuantize":
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
    if row.source == "DynamicFakeQuantize":
        quantize = helper.make_node("DynamicQuantizeLinear", operands, ["q", "s", "z"])
        return [quantize, helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], "operator")]
    return [helper.make_node(row.source, operands, ["y"], "operator", **row.attributes)]


def constant(name: str, value: Array) -> NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value))


def source_result(row: Row) -> Array:
    """What onnxruntime makes of the source node; Swish, unknown to it, by its formula."""
    if row.source == "Swish":
        x = feed(row)["x0"].astype(np.float64)
        return np.asarray(x / (1 + np.exp(-row.attributes.get("alpha", 1.0) * x)))
    present = " ".join(names(row)).rstrip().split(" ")
    return run_nodes(source_nodes(row, present), row)


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
