"""Where signals pass by neurons, which send what is left: shortcuts, and what is the default."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper, parser, shape_inference
from onnxruntime import InferenceSession
from passing_models import BLOCK, STEM, WIDTH, blocks, model, sites, slopes

import onnx2snn
from onnx2snn.match import Options, match
from onnx2snn.runtime.graph import read_graph


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
        {"bypass": "none"},
        {"windows": "sequential"},
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
    assert not any(slopes(spiking).values())


def test_neurons_that_send_differences_come_to_the_same() -> None:
    network = model(blocks(4))
    x = np.random.default_rng(1).standard_normal((256, WIDTH)).astype("f")
    spiking = onnx2snn.convert(network, {"x": x}, time_steps=64, tuning=0)
    assert [node.op_type for node in spiking.graph.node].count("SpikingAddRelu") == 3
    (ann,) = InferenceSession(network.SerializeToString()).run(None, {"x": x[:64]})
    (snn,) = onnx2snn.SpikingSession(spiking, device="cpu").run(None, {"x": x[:64]})
    assert np.linalg.norm(snn - ann) <= 0.01 * np.linalg.norm(ann)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "by depth"),
        ({"time_steps": 4}, "all"),
        ({"time_steps": 31}, "all"),
        ({"time_steps": 32}, "by depth"),
        ({"time_steps": 63}, "by depth"),
        ({"time_steps": 64}, "linear"),
        ({"time_steps": "auto"}, "all"),
        ({"time_steps": 8, "bypass": "linear"}, "linear"),
        ({"spikes": "ternary", "time_steps": 8}, "all"),
        ({"spikes": "ternary", "time_steps": 32}, "by depth"),
        ({"spikes": "ternary", "time_steps": 7}, "residual"),
        ({"spikes": "ternary", "time_steps": "auto"}, "residual"),
        ({"windows": "sequential"}, "none"),
        ({"windows": "sequential", "bypass": "linear"}, "linear"),
        ({"preset": "paper"}, "none"),
    ],
    ids=str,
)
def test_what_passes_by_default(settings: dict[str, Any], expected: str) -> None:
    assert onnx2snn.Settings(**settings).matching.bypass == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"time_steps": 4}, 24),
        ({"time_steps": 16}, 6),
        ({"time_steps": "auto"}, 12),
        ({"time_steps": 64, "bypass": "all"}, 3),
        ({"time_steps": 64}, 3),
        ({"spikes": "ternary", "time_steps": 8}, 12),
    ],
    ids=str,
)
def test_steps_and_sites_together_share_a_budget(settings: dict[str, Any], expected: int) -> None:
    assert onnx2snn.Settings(**settings).together == expected


def in_a_row(count: int, linear: str = "MatMul") -> str:
    """Relus behind linear operators, a0 to the last."""
    layers = (f"s{i} = {linear} (a{i}, w{i % 3}) a{i + 1} = Relu (s{i})" for i in range(count))
    return f"a0 = Identity (x) {' '.join(layers)}"


@pytest.mark.parametrize(
    ("count", "width", "expected"),
    [
        (11, "6", "linear"),
        (12, "6", "all"),
        (12, "5041", "all"),
        (12, "5042", "linear"),
        (12, "M", "linear"),
    ],
)
def test_all_linear_parts_pass_in_small_deep_networks(
    count: int, width: str, expected: str
) -> None:
    """There is one Relu more beside those in a row: 13 of 5041 neurons are less than 2^16."""
    network = parser.parse_model(
        f"""<ir_version: 10, opset_import: ["" : 22]>
        net (float[N, {width}] x) => (float[N, {width}] y) {{
            {in_a_row(count, "Add")} b = Relu (x) y = Add (a{count}, b)
        }}"""
    )
    weights = [numpy_helper.from_array(np.ones(1, "f"), f"w{i}") for i in range(3)]
    network.graph.initializer.extend(weights)
    graph = read_graph(shape_inference.infer_shapes(network))
    assert match(graph, Options(bypass="by depth")).bypass == expected
    assert match(graph, Options(bypass="residual")).bypass == "residual"


@pytest.mark.parametrize("time_steps", [31, 32, 63, 64])
def test_in_how_few_steps_all_linear_parts_pass(time_steps: int) -> None:
    network = model(f"{in_a_row(12)} y = MatMul (a12, w1)")
    x = np.random.default_rng(1).standard_normal((32, WIDTH)).astype("f")
    settings = {"time_steps": time_steps, "schedule": "exponential"}
    found, with_all = (
        slopes(onnx2snn.convert(network, {"x": x}, **settings, bypass=bypass))
        for bypass in (None, "all")
    )
    assert len(with_all) > 1
    assert (found == with_all) == (time_steps < 64)
