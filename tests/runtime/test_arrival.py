"""Data that enter the memory of a program at t = 0, against the executor's initial pass."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from session_models import MODELS, NODE, TIME_STEPS, Weights, build
from session_models import feed as random_feed

import onnx2snn
from onnx2snn.runtime.fused.build import compiler
from onnx2snn.runtime.plan import LinearStep
from onnx2snn.runtime.program import origin
from onnx2snn.runtime.program.arrival import route
from onnx2snn.runtime.program.programs import Entry
from onnx2snn.runtime.session import SpikingSession
from onnx2snn.runtime.start import Opening

pytestmark = pytest.mark.skipif(compiler() is None, reason="needs a C compiler")
Feed = dict[str, np.ndarray[Any, Any]]


def detours() -> onnx.ModelProto:
    """Data pass a node without spikes and a residual, and reach an output as they are."""
    w = Weights(6)
    w["half"] = np.full((1, 6), 0.5, "f")
    nodes = [
        NODE("Mul", ["x", "half"], ["scaled"]),
        NODE("Sign", ["scaled"], ["sign"], "sign"),
        NODE("MatMul", ["x", w.draw("w1", 6, 6)], ["a"]),
        NODE("Relu", ["a"], ["r"], "relu"),
        NODE("MatMul", ["r", w.draw("w2", 6, 6)], ["b"]),
        NODE("Add", ["b", "sign"], ["c"]),
        NODE("Sub", ["c", "x"], ["d"]),
        NODE("Gelu", ["d"], ["g"], "gelu"),
        NODE("Add", ["g", "d"], ["y"]),
        NODE("Add", ["x", "half"], ["seen"]),
    ]
    outputs = {"y": ["N", 3, 6], "seen": ["N", 3, 6]}
    return build(nodes, {"x": ["N", 3, 6]}, outputs, w)


def ragged() -> onnx.ModelProto:
    """How much of its input a network reads depends on the input."""
    w = Weights(7)
    w["zero"], w["one"] = np.array([0]), np.array([1])
    nodes = [
        NODE("ReduceMax", ["x"], ["most"], keepdims=0),
        NODE("Cast", ["most"], ["whole"], to=TensorProto.INT64),
        NODE("Reshape", ["whole", "one"], ["end"]),
        NODE("Slice", ["x", "zero", "end", "one"], ["part"]),
        NODE("ReduceSum", ["part", "one"], ["sum"]),
        NODE("MatMul", ["sum", w.draw("w1", 1, 4)], ["a"]),
        NODE("Relu", ["a"], ["r"], "relu"),
        NODE("MatMul", ["r", w.draw("w2", 4, 2)], ["y"]),
    ]
    return build(nodes, {"x": ["N", 6]}, {"y": ["N", 2]}, w)


OWN: dict[str, Callable[[], onnx.ModelProto]] = {"detours": detours, "ragged": ragged}
NAMES = ("residual_mlp", "convolutional", *OWN)


def feed(name: str, samples: int, seed: int = 7) -> Feed:
    if name == "ragged":
        x = np.random.default_rng(seed).uniform(0, 1, (samples, 6)).astype(np.float32)
        x[0, 0] = 2 + seed % 5
        return {"x": x}
    if name == "detours":
        return {"x": np.random.default_rng(seed).standard_normal((samples, 3, 6), np.float32)}
    return random_feed(name, samples, seed)


@cache
def spiking(name: str) -> onnx.ModelProto:
    make = OWN[name] if name in OWN else MODELS[name][0]
    settings = {"time_steps": TIME_STEPS, "exclude": ("Sign",), "tuning": 0}
    return onnx2snn.convert(make(), feed(name, 32, 3), **settings)


def values(session: SpikingSession, arrays: Feed) -> dict[str, np.ndarray[Any, Any]]:
    """What a probe sees after the first step."""
    found: dict[str, np.ndarray[Any, Any]] = {}
    session.simulate(
        arrays,
        [1],
        probe=lambda s: found.update({n: x.numpy().copy() for n, x in s.values.items()}),
    )
    return found


@pytest.mark.parametrize("name", NAMES)
def test_data_arrive_where_the_initial_pass_takes_them(name: str) -> None:
    session = SpikingSession(spiking(name), device="cpu")
    for seed, samples in ((1, 3), (2, 3), (3, 1)):
        arrays = feed(name, samples, seed)
        other = SpikingSession(spiking(name), device="cpu", precision="float64")
        found, expected = values(session, arrays), values(other, arrays)
        assert found.keys() == expected.keys()
        for tensor, value in expected.items():
            np.testing.assert_allclose(found[tensor], value, 1e-4, 1e-5, err_msg=tensor)
        assert all(session._runner.programs.known.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_memory_too_large_to_be_kept_is_made_anew(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    feeds = [feed(name, 3, seed) for seed in (1, 2)]
    expected = [SpikingSession(spiking(name), device="cpu").run(None, f) for f in feeds]
    monkeypatch.setattr(origin, "KEPT", 0)
    session = SpikingSession(spiking(name), device="cpu")
    for arrays, outputs in zip(feeds, expected, strict=True):
        for found, array in zip(session.run(None, arrays), outputs, strict=True):
            np.testing.assert_array_equal(found, array)
    assert all(p.start.origin is None for p in session._runner.programs.known.values())


def test_of_samples_that_are_alike_one_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    feeds = [feed("in_bytes", 3, seed) for seed in (1, 2)]
    expected = [SpikingSession(spiking("in_bytes"), device="cpu").run(None, f) for f in feeds]
    monkeypatch.setattr(origin, "KEPT", 20_000)
    session = SpikingSession(spiking("in_bytes"), device="cpu")
    for arrays, outputs in zip(feeds, expected, strict=True):
        np.testing.assert_array_equal(session.run(None, arrays), outputs)
    (prepared,) = session._runner.programs.known.values()
    assert isinstance(prepared.start, Entry) and prepared.start.origin is not None
    slots, kept = prepared.recipe.slots, prepared.start.origin.constants
    sizes = [slots.counters, *(4 * slot.size for slot in slots.found.values())]
    assert {n / once.numel() for n, once in zip(sizes, kept, strict=True)} == {1, 3}
    assert sum(once.numel() for once in kept) < origin.KEPT < slots.size


@pytest.mark.parametrize("points", [None, [3, 5]])
def test_answers_outlive_the_simulation(points: list[int] | None) -> None:
    session = SpikingSession(spiking("in_bytes"), device="cpu")
    for _ in range(2):
        (first,) = session.run(None, feed("in_bytes", 2, 1), at=points)
        before = first.copy()
        (other,) = session.run(None, feed("in_bytes", 2, 2), at=points)
        np.testing.assert_array_equal(first, before)
        assert not np.array_equal(first, other)
    (prepared,) = session._runner.programs.known.values()
    assert prepared is not None and len(prepared.idle) == 1


def test_what_is_no_increment_is_evaluated_as_it_is() -> None:
    plan = SpikingSession(spiking("detours"), device="cpu").plan
    path = route(plan)
    kinds = {step.node.op_type for step in path.direct.values()}
    assert "Sign" in kinds and "MatMul" not in kinds
    assert "x" in path.gates and len(path.gates) == 2
    assert all(isinstance(step, LinearStep) for step in path.carry.values())


def test_other_shapes_within_are_left_to_the_executor() -> None:
    session = SpikingSession(spiking("ragged"), device="cpu")
    for seed in (1, 2, 1):
        arrays = feed("ragged", 2, seed)
        fresh = SpikingSession(spiking("ragged"), device="cpu").run(None, arrays)
        np.testing.assert_allclose(session.run(None, arrays)[0], fresh[0], 1e-4, 1e-4)


def test_where_data_multiply_spikes_the_initial_pass_is_evaluated() -> None:
    w = Weights(8)
    nodes = [
        NODE("MatMul", ["x", w.draw("w1", 6, 6)], ["a"]),
        NODE("Relu", ["a"], ["r"], "relu"),
        NODE("Mul", ["r", "x"], ["y"]),
    ]
    model = build(nodes, {"x": ["N", 6]}, {"y": ["N", 6]}, w)
    arrays = {"x": np.random.default_rng(1).standard_normal((4, 6), np.float32)}
    session = SpikingSession(onnx2snn.convert(model, arrays, time_steps=8, tuning=0), device="cpu")
    (found,) = session.run(None, arrays)
    expected = np.maximum(arrays["x"] @ w["w1"], 0) * arrays["x"]
    np.testing.assert_allclose(found, expected, atol=0.1 * np.abs(expected).max())
    (prepared,) = session._runner.programs.known.values()
    assert isinstance(prepared.start, Opening) and not prepared.complete
