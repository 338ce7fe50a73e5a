"""Softmax under masks, behind exporters' guards, and in its older form."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper, parser
from operator_row import Array, Row
from single_node import lowered_result, run_node, spiking_node

import onnx2snn
from onnx2snn.inspection import inspect_model
from onnx2snn.ops import BY_SOURCE
from onnx2snn.ops.node import Node

LOWEST = float(np.finfo(np.float32).min)
WEIGHTS = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
PLAIN = "y = Softmax <axis = 2> (scores)"
GUARDED = "s = Softmax <axis = -1> (scores) nan = IsNaN (s) y = Where (nan, zero, s)"


def masked_model(tail: str, low: float = LOWEST, opset: int = 18) -> onnx.ModelProto:
    """scores = tanh(x) w, or `low` where not kept; then `tail` from h or scores to y."""
    model = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : {opset}]>
        masked (float[N, 6, 4] x, bool[N, 1, 5] kept) => (float[N, 6, 5] y) <float zero = {{0}}>
        {{ a = Tanh (x) h = MatMul (a, w) scores = Where (kept, h, low) {tail} }}"""
    )
    stored = {"w": WEIGHTS, "low": np.array(low, np.float32)}
    model.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in stored.items())
    return model


def feed(seed: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    kept = rng.random((64, 1, 5)) < 0.7
    kept[..., 0] = True
    return {"x": rng.normal(size=(64, 6, 4)).astype(np.float32), "kept": kept}


def shares(arrays: dict[str, Array], axes: tuple[int, ...] = (-1,)) -> Array:
    """exp(h) / sum(exp(h)) over what is kept."""
    powers = np.exp(np.tanh(arrays["x"]) @ WEIGHTS) * arrays["kept"]
    return np.asarray(powers / powers.sum(axes, keepdims=True))


def answer(model: onnx.ModelProto, arrays: dict[str, Array]) -> list[Array]:
    """What onnxruntime computes."""
    cpu = ["CPUExecutionProvider"]
    found = onnxruntime.InferenceSession(model.SerializeToString(), providers=cpu).run(None, arrays)
    return [np.asarray(array) for array in found]


def run(model: onnx.ModelProto, **settings: Any) -> tuple[list[str], Array]:
    """The model's operators when converted, and its answer to `feed(2)`."""
    spiking = onnx2snn.convert(model, feed(1), time_steps=16, tuning=0, **settings)
    (found,) = onnx2snn.SpikingSession(spiking, device="cpu").run(["y"], feed(2))
    return [node.op_type for node in spiking.graph.node], np.asarray(found)


def relative(found: Array, wanted: Array) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


@pytest.mark.parametrize("softmax", ["fused", "decomposed"])
@pytest.mark.parametrize("spikes", ["binary", "ternary"])
@pytest.mark.parametrize("low", [-1e9, LOWEST, -np.inf])
def test_masked_scores(low: float, spikes: str, softmax: str) -> None:
    _, found = run(masked_model(PLAIN, low), spikes=spikes, softmax=softmax)
    assert np.isfinite(found).all()
    assert relative(found, shares(feed(2))) < 0.05


@pytest.mark.parametrize("softmax", ["fused", "decomposed"])
@pytest.mark.parametrize("shift", [0.0, 300.0, -300.0])
def test_scores_beyond_the_range_of_exp(shift: float, softmax: str) -> None:
    """Scores within 40 of `shift`, one of which at least exp cannot hold."""
    model = masked_model("k = Mul (scores, ten) z = Add (k, shift) y = Softmax <axis = -1> (z)", -9)
    added = {"ten": 10.0, "shift": shift}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.float32), name) for name, value in added.items()
    )
    (wanted,) = answer(model, feed(2))
    errors = []
    for steps in (8, 32):
        spiking = onnx2snn.convert(model, feed(1), time_steps=steps, tuning=0, softmax=softmax)
        (found,) = onnx2snn.SpikingSession(spiking, device="cpu").run(["y"], feed(2))
        errors.append(relative(np.asarray(found), wanted))
    assert errors[1] < 0.1 and errors[1] < errors[0]


def test_a_guard_against_masked_rows_is_part_of_the_neurons() -> None:
    counts = inspect_model(masked_model(GUARDED, -np.inf)).counts
    assert counts["spiking"] == 2 and counts["analog"] == 0
    operators, found = run(masked_model(GUARDED, -np.inf))
    assert operators[-1] == "SpikingSoftmax" and "IsNaN" not in operators
    assert relative(found, shares(feed(2))) < 0.05


@pytest.mark.parametrize(
    "tail",
    [
        GUARDED.replace("zero, s", "low, s"),
        GUARDED.replace("IsNaN (s)", "IsNaN (scores)"),
        GUARDED.replace("y =", "z =") + "y = Add (z, s)",
    ],
    ids=["not zero", "not of the softmax", "softmax read elsewhere"],
)
def test_what_only_looks_like_a_guard_stays(tail: str) -> None:
    assert any(node.op_type == "IsNaN" for node in inspect_model(masked_model(tail)).nodes)


@pytest.mark.parametrize("softmax", ["fused", "decomposed"])
def test_masked_rows_among_others(softmax: str) -> None:
    """Every other sample is masked entirely; the shares of the others are as ever."""
    model = masked_model(GUARDED, -np.inf)
    arrays = [feed(seed) for seed in (1, 2)]
    for some in arrays:
        some["kept"][::2] = False
    spiking = onnx2snn.convert(model, arrays[0], time_steps=16, tuning=0, softmax=softmax)
    (found,) = onnx2snn.SpikingSession(spiking, device="cpu").run(["y"], arrays[1])
    with np.errstate(invalid="ignore"):
        wanted = np.nan_to_num(shares(arrays[1]))
    assert relative(np.asarray(found), wanted) < 0.08


@pytest.mark.parametrize("sites", ["fused", "decomposed"])
def test_a_row_that_is_masked_entirely_is_zero(sites: str) -> None:
    masked_rows = np.array([[-np.inf] * 3, [0, -np.inf, 0]], np.float32)
    row = Row("Softmax", (masked_rows,), extra={"sites": sites})
    wanted = np.array([[0, 0, 0], [0.5, 0, 0.5]], np.float32)
    np.testing.assert_array_equal(lowered_result(row), wanted)
    node, parameters = spiking_node(row)
    np.testing.assert_array_equal(run_node(node, row, parameters), wanted)


def test_before_opset_13_all_axes_behind_the_given_one_are_one_row() -> None:
    operators, found = run(masked_model("y = Softmax <axis = 1> (scores)", opset=11))
    assert operators.count("SpikingSoftmax") == 1
    assert relative(found, shares(feed(2), (1, 2))) < 0.1


@pytest.mark.parametrize("source", ["Softmax", "LogSoftmax"])
def test_a_positive_axis_is_counted_from_the_last(source: str) -> None:
    model = masked_model(f"y = {source} <axis = 1> (h)")
    spiking = onnx2snn.convert(model, feed(1), time_steps=4, tuning=0)
    node = next(n for n in spiking.graph.node if n.op_type == f"Spiking{source}")
    assert next(a.i for a in node.attribute if a.name == "axis") == -2


@pytest.mark.parametrize("source", ["Softmax", "LogSoftmax"])
def test_neurons_see_their_row_along_the_axis(source: str) -> None:
    operator = BY_SOURCE[source]
    node = Node(operator.op_type, ("x",), ("y",), {"axis": -2}, "n")
    (site,) = operator.lower(node).sites
    values = site.target(torch.randn(3, 4, 5))
    powers = values.exp() if source == "LogSoftmax" else values
    torch.testing.assert_close(powers.sum(1), torch.ones(3, 5))
