"""Relu behind a residual sum: where its neurons send only the difference to the shortcut."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser
from onnxruntime import InferenceSession

import onnx2snn
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


def blocks(count: int) -> str:
    """Residual blocks in a row."""
    text = "s = MatMul (x, w0) a0 = Relu (s)"
    for i in range(count):
        text += f" u{i} = MatMul (a{i}, w{i + 1}) v{i} = Relu (u{i}) b{i} = MatMul (v{i}, w0)"
        text += f" t{i} = Add (a{i}, b{i}) a{i + 1} = Relu (t{i})"
    return f"{text} y = MatMul (a{count}, w9)"


@pytest.mark.parametrize("order", ["a, b", "b, a"])
def test_the_shortcut_is_the_operand_with_fewer_sites_behind_it(order: str) -> None:
    graph = match(
        read_graph(model(f"{STEM} {BLOCK} t = Add ({order}) y = Relu (t)")), Options()
    ).graph
    last = graph.nodes[-1]
    assert (last.op_type, last.inputs, last.outputs) == ("SpikingAddRelu", ("a", "b"), ("y",))
    assert [node.op_type for node in graph.nodes].count("Add") == 0


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"{STEM} {BLOCK} p = MatMul (a, w3) t = Add (p, b) y = Relu (t)", "AddRelu"),
        (f"{STEM} {BLOCK} t = Add (x, b) y = Relu (t)", "Relu"),
        (f"{STEM} {BLOCK} d = Relu (x) t = Add (d, v) y = Relu (t)", "AddRelu"),
        (f"{STEM} b = MatMul (a, w1) t = Add (a, b) y = Relu (t)", "Relu"),
        (f"{STEM} d = Relu (x) t = Add (a, d) y = Relu (t)", "Relu"),
        (f"{STEM} {BLOCK} t = Add (a, b) y = Tanh (t)", "Tanh"),
    ],
    ids=["projection", "input", "other branch", "no block", "two branches", "no Relu"],
)
def test_what_may_bypass(body: str, expected: str) -> None:
    assert sites(body)[-1] == expected


def test_an_excluded_relu_stays() -> None:
    body = f"{STEM} {BLOCK} t = Add (a, b) y = Relu (t)"
    assert sites(body) == ["Relu", "Relu", "AddRelu"]
    assert sites(body, exclude=("y",)) == ["Relu", "Relu"]


@pytest.mark.parametrize("reader", ["output", "node"])
def test_a_sum_that_others_read_stays(reader: str) -> None:
    body = f"{STEM} {BLOCK} t = Add (a, b) y = Relu (t)"
    outputs = "float[N, 6] y, float[N, 6] " + ("t" if reader == "output" else "z")
    body += "" if reader == "output" else " z = Neg (t)"
    assert "AddRelu" not in sites(body, outputs)


def test_no_more_than_three_sites_come_together() -> None:
    found = sites(blocks(5))[2::2]
    assert found == ["AddRelu", "AddRelu", "Relu", "AddRelu", "AddRelu"]


@pytest.mark.parametrize(
    "options",
    [
        {"residual_relu": "whole"},
        {"preset": "paper"},
        {"dynamics": "if"},
        {"dynamics": "lif"},
    ],
    ids=str,
)
def test_where_neurons_send_the_whole(options: dict[str, str]) -> None:
    network = model(f"{STEM} {BLOCK} t = Add (a, b) c = Relu (t) y = MatMul (c, w3)")
    x = np.random.default_rng(1).standard_normal((64, WIDTH)).astype("f")
    spiking = onnx2snn.convert(network, {"x": x}, time_steps=2, tuning=0, **options)
    assert "SpikingAddRelu" not in [node.op_type for node in spiking.graph.node]


def test_neurons_that_send_differences_come_to_the_same() -> None:
    network = model(blocks(4))
    x = np.random.default_rng(1).standard_normal((256, WIDTH)).astype("f")
    spiking = onnx2snn.convert(network, {"x": x}, time_steps=64, tuning=0)
    assert [node.op_type for node in spiking.graph.node].count("SpikingAddRelu") == 3
    (ann,) = InferenceSession(network.SerializeToString()).run(None, {"x": x[:64]})
    (snn,) = onnx2snn.SpikingSession(spiking, device="cpu").run(None, {"x": x[:64]})
    assert np.linalg.norm(snn - ann) <= 0.01 * np.linalg.norm(ann)
