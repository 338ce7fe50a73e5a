"""Small networks past whose neurons signals may pass, and what matching lets pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper, parser

from onnx2snn.match import Options, match
from onnx2snn.runtime.graph import read_graph

STEM = "s = MatMul (x, w0) a = Relu (s)"
BLOCK = "u = MatMul (a, w1) v = Relu (u) b = MatMul (v, w2)"
WIDTH = 6


def model(body: str, outputs: str = "float[N, 6] y") -> onnx.ModelProto:
    """A network with weights w0, w1, .. of WIDTH x WIDTH."""
    text = f"""<ir_version: 10, opset_import: ["" : 22]>
        net (float[N, {WIDTH}] x) => ({outputs}) {{ {body} }}"""
    built = parser.parse_model(text)
    rng = np.random.default_rng(3)
    for i in range(10):
        weights = rng.standard_normal((WIDTH, WIDTH)) / WIDTH**0.5
        built.graph.initializer.append(numpy_helper.from_array(weights.astype("f"), f"w{i}"))
    return built


def sites(body: str, outputs: str = "float[N, 6] y", **options: Any) -> list[str]:
    """The spiking operators that matching finds, in order."""
    graph = match(read_graph(model(body, outputs)), Options(**options)).graph
    return [node.op_type.removeprefix("Spiking") for node in graph.nodes if node.domain]


def slopes(spiking: onnx.ModelProto) -> dict[str, float]:
    """What passes by the neurons of each spiking node, by its output."""
    return {
        node.output[0]: a.f
        for node in spiking.graph.node
        for a in node.attribute
        if a.name == "passing"
    }


def passed(body: str, **options: Any) -> list[str]:
    """Outputs of the nodes that matching lets a linear part pass by."""
    graph = match(read_graph(model(body)), Options(**options)).graph
    return [node.outputs[0] for node in graph.nodes if node.attributes.get("passing")]


def blocks(count: int) -> str:
    """Residual blocks in a row."""
    text = "s = MatMul (x, w0) a0 = Relu (s)"
    for i in range(count):
        text += f" u{i} = MatMul (a{i}, w{i + 1}) v{i} = Relu (u{i}) b{i} = MatMul (v{i}, w0)"
        text += f" t{i} = Add (a{i}, b{i}) a{i + 1} = Relu (t{i})"
    return f"{text} y = MatMul (a{count}, w9)"
