"""Where linear parts of functions pass by neurons, and how much of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import helper
from onnxruntime import InferenceSession
from passing_models import BLOCK, STEM, WIDTH, blocks, model, passed, sites, slopes

import onnx2snn
from onnx2snn.bypass import limited
from onnx2snn.calibration.slopes import slope
from onnx2snn.match import Options, match
from onnx2snn.ops.extremum import largest_in
from onnx2snn.ops.gelu import gelu
from onnx2snn.ops.layer_normalization import normalised
from onnx2snn.ops.passing import linear_part
from onnx2snn.ops.relu import relu
from onnx2snn.ops.sigmoid import sigmoid
from onnx2snn.ops.tanh import tanh
from onnx2snn.ops.target import Target
from onnx2snn.ops.windows import Geometry, Windows
from onnx2snn.runtime.graph import read_graph

NORM = "LayerNormalization"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("s = MatMul (x, w0) a = Gelu (s) b = Gelu (a) y = MatMul (b, w1)", ["a"]),
        ("a = Relu (x) s = Add (x, x) b = Tanh (s) y = Mul (a, b)", ["a", "b"]),
        (f"a = Gelu (x) b = {NORM} (a, g) c = {NORM} (b, g) y = {NORM} (c, g)", ["a", "b", "c"]),
        (f"a = Gelu (x) b = Gelu (a) c = Add (a, b) y = {NORM} (c, g)", ["a", "y"]),
        ("a = Max (x, g) y = MatMul (a, w0)", []),
        ("a = ReduceMax (x) b = Gelu (a) c = Add (x, b) y = Identity (c)", ["a"]),
    ],
    ids=["first", "both first", "normalisations", "three together", "two currents", "rows"],
)
def test_where_linear_parts_pass(body: str, expected: list[str]) -> None:
    """`slope` then finds that a maximum of a row is no line."""
    body = f"g = Constant <value_floats = [1.0, 2.0, 1.0, 1.0, 2.0, 1.0]> () {body}"
    assert passed(body) == expected
    assert passed(body, bypass="residual") == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("s = MatMul (x, w0) a = Gelu (s) b = Gelu (a) y = MatMul (b, w1)", ["a", "b"]),
        (f"{STEM} {BLOCK} t = Add (a, b) c = Relu (t) y = MatMul (c, w3)", ["a", "v", "c"]),
        (f"{STEM} t = Tanh (a) b = Max (a, t) y = Relu (b)", ["a", "t", "y"]),
    ],
    ids=["behind a site", "residual sum", "two currents"],
)
def test_where_all_linear_parts_pass(body: str, expected: list[str]) -> None:
    assert passed(body, bypass="all") == expected
    assert "AddRelu" not in sites(body, bypass="all")


@pytest.mark.parametrize(("together", "whole"), [(1, [1, 2, 3, 4]), (3, [3]), (5, [])])
def test_so_many_sites_come_together(together: int, whole: list[int]) -> None:
    """Sites in a row of which one sends the whole wherever there would be more.

    What has several currents counts as any other that sends the whole.
    """
    body = " ".join(f"s{i} = MatMul (a{i}, w{i}) a{i + 1} = Relu (s{i})" for i in range(5))
    network = model(f"a0 = Identity (x) {body} t = Max (a5, a0) b = Relu (t) y = MatMul (b, w9)")
    graph = match(read_graph(network), Options(bypass="all")).graph
    found = [n.outputs[0] for n in limited(graph.nodes, together) if n.attributes.get("passing")]
    expected = [f"a{i + 1}" for i in range(5) if i not in whole]
    assert found == (expected if together == 1 else [*expected, "b"])


def test_what_has_no_slope_takes_no_place() -> None:
    """Three sites that level off have no slope on data, and do not come together behind them."""
    body = " ".join(f"s{i} = MatMul (a{i}, w{i}) a{i + 1} = Tanh (s{i})" for i in range(3))
    network = model(f"a0 = Identity (x) {body} r = Relu (a3) y = MatMul (r, w9)")
    x = {"x": np.random.default_rng(1).standard_normal((64, WIDTH)).astype("f")}
    spiking = onnx2snn.convert(network, x, time_steps=32, bypass="all", schedule="exponential")
    assert list(slopes(spiking)) == ["r"]


def test_normalisations_of_two_sites_are_sent_whole() -> None:
    ones = "g = Constant <value_floats = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]> ()"
    body = f"{ones} a = Gelu (x) b = {NORM} (a, g) y = Gelu (b)"
    assert passed(body) == ["a", "b"]
    assert passed(body, layer_norm="decomposed") == ["a"]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (relu(), 0.5),
        (gelu("none"), pytest.approx(0.5, abs=0.1)),
        (Target("abs", 1, torch.abs), 0.0),
        (normalised((-1,), 1e-5), pytest.approx(1.0, abs=0.1)),
        (largest_in(Windows((Geometry(2, 2),)), -9.0), pytest.approx(1.0, abs=0.1)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_slopes_are_those_of_a_regression(target: Target, expected: float) -> None:
    x = torch.randn(64, 3, 32, generator=torch.Generator().manual_seed(0))
    x = torch.cat([x, -x])
    found = slope(target, x)
    assert found == (pytest.approx(expected) if isinstance(expected, float) else expected)
    assert (found * 64).is_integer()
    part = linear_part(target, x)
    left = [float((target(x) - c * part).var()) for c in (0.8 * found, found, 1.2 * found)]
    assert not found or left[1] == min(left)


def test_what_has_no_slope() -> None:
    x = torch.ones(4, 3)
    assert slope(relu(), x) == 0.0
    spread = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    for levels_off in (sigmoid(), tanh(), Target("exp", 1, torch.exp)):
        assert slope(levels_off, spread) == 0.0
    assert slope(relu(), torch.full((4, 3), torch.nan)) == 0.0
    assert slope(Target("max", 1, lambda x: x.amax(-1, keepdim=True)), torch.randn(4, 3)) == 0.0


def test_fewer_steps_where_all_linear_parts_pass() -> None:
    network = model(blocks(4))
    x = np.random.default_rng(1).standard_normal((256, WIDTH)).astype("f")
    (ann,) = InferenceSession(network.SerializeToString()).run(None, {"x": x})
    errors = []
    for bypass in ("all", "linear", "none"):
        spiking = onnx2snn.convert(network, {"x": x}, time_steps=8, tuning=0, bypass=bypass)
        (snn,) = onnx2snn.SpikingSession(spiking, device="cpu").run(None, {"x": x})
        errors.append(np.linalg.norm(snn - ann) / np.linalg.norm(ann))
    assert errors[0] < 0.7 * errors[1] < 0.7 * errors[2]


def test_ternary_neurons_do_not_save_energy_where_all_linear_parts_pass() -> None:
    network = model(blocks(2))
    x = np.random.default_rng(1).standard_normal((128, WIDTH)).astype("f")
    settings = {"time_steps": 4, "spikes": "ternary", "bypass": "all", "tuning": 20}
    free = onnx2snn.convert(network, {"x": x}, **settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("onnx2snn.calibration.tuning.tune.ENERGY_WEIGHT", 10.0)
        assert onnx2snn.convert(network, {"x": x}, **settings) == free
        priced = onnx2snn.convert(network, {"x": x}, **{**settings, "bypass": "linear"})
    rates = [
        onnx2snn.SpikingSession(m, device="cpu").simulate({"x": x}, [4])[0].account.spike_rate(4)
        for m in (free, priced)
    ]
    assert rates[1] < 0.8 * rates[0]


def test_neurons_beside_a_linear_part_come_to_the_same() -> None:
    body = f"s = MatMul (x, w0) a = Gelu (s) t = MatMul (a, w1) y = {NORM} (t, g)"
    network = model(f"g = Constant <value_floats = [1.0, 2.0, 1.0, 1.0, 2.0, 1.0]> () {body}")
    x = np.random.default_rng(1).standard_normal((256, WIDTH)).astype("f")
    spiking = onnx2snn.convert(network, {"x": x}, time_steps=64, tuning=0)
    assert slopes(spiking) == {"a": pytest.approx(0.5, abs=0.2), "y": pytest.approx(1.5, abs=1)}
    (ann,) = InferenceSession(network.SerializeToString()).run(None, {"x": x[:64]})
    (snn,) = onnx2snn.SpikingSession(spiking, device="cpu").run(None, {"x": x[:64]})
    assert np.linalg.norm(snn - ann) <= 0.01 * np.linalg.norm(ann)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.5])
def test_a_file_in_which_nothing_can_pass(value: float) -> None:
    network = model("a = Gelu (x) b = Sigmoid (x) c = Max (a, b) y = MatMul (c, w0)")
    x = np.random.default_rng(1).standard_normal((8, WIDTH)).astype("f")
    spiking = onnx2snn.convert(network, {"x": x}, time_steps=2, tuning=0)
    node = next(n for n in spiking.graph.node if n.op_type == "SpikingMax")
    if value == 0.5:
        node.attribute.append(helper.make_attribute("passing", value))
    else:
        node = next(n for n in spiking.graph.node if n.op_type == "SpikingGelu")
        next(a for a in node.attribute if a.name == "passing").f = value
    with pytest.raises(onnx2snn.Onnx2SnnError, match=r"'passing' is .*; it must be finite"):
        onnx2snn.SpikingSession(spiking, device="cpu")
