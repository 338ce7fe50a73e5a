"""Compiled programs against the operators and the executor that they stand for."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from session_models import feed, spiking

import onnx2snn
from onnx2snn.runtime import threads
from onnx2snn.runtime.fused.build import compiler
from onnx2snn.runtime.session import SpikingSession

pytestmark = pytest.mark.skipif(compiler() is None, reason="needs a C compiler")
ZOO = Path(__file__).parents[2] / "models"
MODELS = ("residual_mlp", "convolutional", "gated", "in_bytes", "products", "attention")


@cache
def zoo(name: str) -> tuple[onnx.ModelProto, np.ndarray[Any, Any]]:
    """A network of the zoo, converted to ternary spikes, which no tables add up, and images."""
    images = np.load(ZOO / "digits_calibration.npz")["image"]
    path = ZOO / f"digits_{name}.onnx"
    options = {"time_steps": 8, "tuning": 0, "spikes": "ternary"}
    return onnx2snn.convert(path, {"image": images[:16]}, **options), images


def executed(model: onnx.ModelProto | bytes, **options: Any) -> SpikingSession:
    """A session without programs."""
    session = SpikingSession(model, device="cpu", **options)
    session._runner.programs.usable = False
    return session


def carried_on(model: onnx.ModelProto) -> SpikingSession:
    """A session whose executor carries on where a program was after one step."""
    session = SpikingSession(model, device="cpu")
    begin = session._runner.programs.begin

    def shown(*arguments: Any) -> Any:
        begun = begin(*arguments)
        if begun is None:
            return None
        state, simulation = begun
        simulation.advance(1)
        simulation.show(state, None)
        simulation.count(state)
        state.time = 1
        return state, None

    session._runner.programs.begin = shown  # type: ignore[method-assign]
    return session


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("spikes", "bypass"), [("binary", "linear"), ("ternary", "residual"), ("binary", "all")]
)
def test_a_program_does_what_the_executor_does(name: str, spikes: str, bypass: str) -> None:
    model, arrays = spiking(name, spikes=spikes, bypass=bypass), feed(name, 3)
    session, other = SpikingSession(model, device="cpu"), executed(model)
    for _ in range(2):
        pairs = zip(session.simulate(arrays, [3, 10]), other.simulate(arrays, [3, 10]), strict=True)
        for found, expected in pairs:
            assert abs(found.account.spikes - expected.account.spikes) <= 2
            for output, array in found.outputs.items():
                np.testing.assert_allclose(array, expected.outputs[output], 2e-2, 2e-2)
    assert all(session._runner.programs.known.values())


@pytest.mark.parametrize("name", MODELS[:4])
def test_a_known_program_answers_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    session, arrays = SpikingSession(spiking(name), device="cpu", block=3), feed(name, 2)
    points = session.simulate(arrays, [4, 10])
    monkeypatch.setattr(session._runner, "states", None)
    for point in points:
        found = session.run(None, arrays, time_steps=point.time_steps)
        for array, expected in zip(found, point.outputs.values(), strict=True):
            np.testing.assert_array_equal(array, expected)
    other = {name: -array for name, array in arrays.items()}
    assert not np.array_equal(session.run(None, other)[0], points[-1].outputs["y"])
    with pytest.raises(TypeError, match="NoneType"):
        session.run(None, feed(name, 3))


@pytest.mark.parametrize("name", MODELS)
def test_programs_of_all_lengths_do_the_same(name: str) -> None:
    model, arrays = spiking(name), feed(name, 2)
    expected = SpikingSession(model, device="cpu", block=1).simulate(arrays, range(1, 11))
    for block in (2, 3, 10):
        found = SpikingSession(model, device="cpu", block=block).simulate(arrays, [4, 10])
        for point in found:
            before = expected[point.time_steps - 1]
            assert point.account == before.account
            for output, array in point.outputs.items():
                np.testing.assert_array_equal(array, before.outputs[output])


@pytest.mark.parametrize("name", MODELS)
def test_any_number_of_threads_does_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "SHARED_IN_PROGRAM", 0)
    model, arrays, before = spiking(name), feed(name, 3), torch.get_num_threads()
    points = []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            session = SpikingSession(model, device="cpu")
            points.append(session.simulate(arrays, [4, 10]))
            assert all(session._runner.programs.known.values())
    finally:
        torch.set_num_threads(before)
    for found in points[1:]:
        for point, expected in zip(found, points[0], strict=True):
            assert point.account == expected.account
            for output, array in expected.outputs.items():
                np.testing.assert_array_equal(point.outputs[output], array)


@pytest.mark.parametrize("name", ["convnext", "regnet"])
@pytest.mark.parametrize("samples", [1, 5])
def test_the_zoo_spikes_bit_for_bit_as_the_executor_lets_it(name: str, samples: int) -> None:
    """Where PyTorch and the kernels add up vectors of the same lengths."""
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        pytest.skip("without AVX-512 oneDNN adds in another order than the kernels")
    model, images = zoo(name)
    arrays = {"image": images[-samples:]}
    session, other = SpikingSession(model, device="cpu"), carried_on(model)
    for found, expected in zip(
        session.simulate(arrays, [3, 8]), other.simulate(arrays, [3, 8]), strict=True
    ):
        assert found.account == expected.account
        np.testing.assert_array_equal(found.outputs["logits"], expected.outputs["logits"])
    assert all(session._runner.programs.known.values())


def test_a_probe_sees_the_state_that_the_executor_would_show() -> None:
    model, arrays = spiking("residual_mlp"), feed("residual_mlp", 2)
    shown: list[dict[str, Any]] = []
    for session in (SpikingSession(model, device="cpu"), executed(model)):
        session.simulate(
            arrays,
            [5, 10],
            probe=lambda state: shown.append(
                {**{k: v.clone() for k, v in state.values.items()}, **state.spikes}
            ),
        )
    for found, expected in zip(shown[:2], shown[2:], strict=True):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=2e-2, atol=2e-2)


def test_interleaved_simulations_of_one_session_keep_apart() -> None:
    model = spiking("residual_mlp")
    session = SpikingSession(model, device="cpu")
    feeds = [feed("residual_mlp", 2, seed) for seed in (1, 2)]
    expected = [SpikingSession(model, device="cpu").simulate(f, [4, 10]) for f in feeds]
    streams = [session.stream(f, [4, 10]) for f in feeds]
    for points in zip(*expected, strict=True):
        for stream, point in zip(streams, points, strict=True):
            np.testing.assert_array_equal(next(stream).outputs["y"], point.outputs["y"])


def test_shapes_may_change_from_call_to_call() -> None:
    model = spiking("convolutional")
    session = SpikingSession(model, device="cpu")
    for size in ((5, 4), (6, 7), (5, 4)):
        arrays = {"x": np.random.default_rng(1).standard_normal((2, 2, *size)).astype(np.float32)}
        (expected,) = SpikingSession(model, device="cpu").run(None, arrays)
        np.testing.assert_array_equal(session.run(None, arrays)[0], expected)


@pytest.mark.parametrize(
    ("name", "windows", "options"),
    [
        ("analog_middle", "synchronous", {}),
        ("conv_net", "sequential", {}),
        ("conv_net", "synchronous", {"precision": "float64"}),
        ("conv_net", "synchronous", {"precision": "bf16"}),
        ("conv_net", "synchronous", {"compile": False}),
    ],
)
def test_the_executor_runs_what_programs_cannot(
    name: str, windows: str, options: dict[str, Any]
) -> None:
    session = SpikingSession(spiking(name, windows=windows), device="cpu", **options)
    session.run(None, feed(name, 2))
    assert not session._runner.programs.usable


def test_the_executor_runs_what_programs_have_no_instruction_for() -> None:
    session = SpikingSession(spiking("conv_net"), device="cpu")
    session.run(None, feed("conv_net", 2))
    assert list(session._runner.programs.known.values()) == [None]
