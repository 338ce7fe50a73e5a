"""Recorded time loops against those that Python runs, on graphs that are emulated on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from emulated_graphs import EmulatedGraphs
from onnx import TensorProto, helper
from session_models import MODELS, NODE, TIME_STEPS, Feed, Weights, build, feed, spiking

import onnx2snn
from models.digits import FOLDER, NAMES
from onnx2snn.runtime import packed
from onnx2snn.runtime.recording import Recordings
from onnx2snn.runtime.session import Point, SpikingSession

# A node that onnxruntime computes on the host.
UNRECORDED = ("analog_middle",)


@pytest.fixture(autouse=True)
def _as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """OneDNN lays out no weights, and sums do not depend on threads."""
    monkeypatch.setattr(packed, "_suits", lambda weight: False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def unrecorded(model: onnx.ModelProto, **options: Any) -> SpikingSession:
    return SpikingSession(model, device="cpu", compile=False, **options)


def recorded(model: onnx.ModelProto, graphs: EmulatedGraphs, **options: Any) -> SpikingSession:
    session = unrecorded(model, **options)
    session._runner.recordings = Recordings(lambda: graphs)
    return session


def same(found: list[Any], expected: list[Any]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("block", [1, 3, None])
@pytest.mark.parametrize("name", MODELS)
def test_replayed_as_run(name: str, block: int | None) -> None:
    """The second of equal calls is recorded and replayed, later ones are replayed."""
    model, graphs = spiking(name), EmulatedGraphs()
    session, plain = recorded(model, graphs, block=block), unrecorded(model, block=block)
    for call in range(4):
        arrays = feed(name, 3, seed=call)
        same(session.run(None, arrays), plain.run(None, arrays))
        assert graphs.replayed == (0 if name in UNRECORDED else call)
    assert graphs.recorded == (name not in UNRECORDED)


@pytest.mark.parametrize("settings", [{"spikes": "ternary"}, {"windows": "sequential"}])
def test_other_spikes_and_windows(settings: dict[str, str]) -> None:
    model, graphs = spiking("residual_mlp", **settings), EmulatedGraphs()
    session, plain = recorded(model, graphs), unrecorded(model)
    for seed in range(3):
        arrays = feed("residual_mlp", 2, seed)
        same(session.run(None, arrays), plain.run(None, arrays))
    assert graphs.replayed


def test_points_and_spikes() -> None:
    """What an evaluation reads: outputs and counts at several steps, and progress."""
    model, graphs = spiking("conv_net"), EmulatedGraphs()
    session, plain = recorded(model, graphs), unrecorded(model)
    at, seen = [2, 5, TIME_STEPS], list[int]()
    for seed in range(3):
        arrays = feed("conv_net", 3, seed)
        points = session.simulate(arrays, at, seen.append)
        for found, expected in zip(points, plain.simulate(arrays, at), strict=True):
            assert (found.time_steps, found.account) == (expected.time_steps, expected.account)
            np.testing.assert_array_equal(found.outputs["y"], expected.outputs["y"])
    assert graphs.recorded == len(at) and graphs.replayed == 2 * len(at)
    assert seen[-len(at) :] == at


def test_shapes_by_turns() -> None:
    """Shapes that came twice in a row are recorded; others run, and nothing is mixed up."""
    graphs = EmulatedGraphs()
    model = spiking("convolutional")
    session, plain = recorded(model, graphs), unrecorded(model)
    for seed, samples in enumerate((3, 3, 2, 3, 3, 3, 2, 2, 3, 3)):
        arrays = feed("convolutional", samples, seed)
        same(session.run(None, arrays), plain.run(None, arrays))
    assert graphs.recorded > 1 and graphs.replayed > graphs.recorded


def test_a_probe_sees_all_tensors() -> None:
    """Only what a caller names is kept of a recording: probes get a simulation of their own."""
    graphs = EmulatedGraphs()
    session, arrays = recorded(spiking("conv_net"), graphs), feed("conv_net", 2)
    shown = list[int]()
    for _ in range(3):
        session.simulate(arrays, [4], probe=lambda state: shown.append(len(state.values)))
    assert len(set(shown)) == 1 and not graphs.recorded


def test_one_caller_at_a_time() -> None:
    """A second caller, while the first still reads its points, runs without the recording."""
    model, graphs = spiking("gated"), EmulatedGraphs()
    session, plain = recorded(model, graphs), unrecorded(model)
    first, second = feed("gated", 2, 1), feed("gated", 2, 2)
    at = [3, TIME_STEPS]
    session.simulate(first, at)
    reading = session.stream(first, at)
    points = [next(reading)]
    assert graphs.replayed == 1
    found = session.simulate(second, at)
    points.extend(reading)
    assert graphs.replayed == len(at)
    for answer, arrays in ((points, first), (found, second)):
        _equal(answer, plain.simulate(arrays, at))
    next(session.stream(first, at))  # abandoned, and free again
    _equal(session.simulate(second, at), plain.simulate(second, at))
    assert graphs.replayed == 2 * len(at) + 1


def _equal(found: list[Point], expected: list[Point]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.account == other.account
        for name, array in other.outputs.items():
            np.testing.assert_array_equal(one.outputs[name], array)


def _masked(op_type: str) -> onnx.ModelProto:
    """A signal and an input that meet in a linear node: added or multiplied."""
    w = Weights(8)
    nodes = [
        NODE("MatMul", ["x", w.draw("w1", 4, 6)], ["a"]),
        NODE("Relu", ["a"], ["r"], "relu"),
        NODE(op_type, ["r", "mask"], ["m"], "masked"),
        NODE("Tanh", ["m"], ["t"], "tanh"),
        NODE("MatMul", ["t", w.draw("w2", 6, 3)], ["y"]),
    ]
    return build(nodes, {"x": ["N", 4], "mask": ["N", 6]}, {"y": ["N", 3]}, w)


@pytest.mark.parametrize(("op_type", "replays"), [("Add", 3), ("Mul", 3)])
def test_constants_that_come_with_the_data(op_type: str, replays: int) -> None:
    """What is added at t = 0 is data, and so is what multiplies increments."""

    def arrays(seed: int) -> Feed:
        rng = np.random.default_rng(seed)
        shapes = {"x": (8, 4), "mask": (8, 6)}
        return {n: rng.standard_normal(s).astype(np.float32) for n, s in shapes.items()}

    model = onnx2snn.convert(_masked(op_type), arrays(0), time_steps=6, tuning=0)
    graphs = EmulatedGraphs()
    session, plain = recorded(model, graphs), unrecorded(model)
    for seed in range(4):
        same(session.run(None, arrays(seed)), plain.run(None, arrays(seed)))
    assert graphs.replayed == replays


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU here")
@pytest.mark.parametrize("name", MODELS)
def test_cuda_graphs(name: str) -> None:
    """Replayed on a GPU as run there."""
    session = SpikingSession(spiking(name), device="cuda")
    plain = SpikingSession(spiking(name), device="cuda")
    for seed in range(4):
        arrays = feed(name, 3, seed)
        plain._runner.recordings = None
        same(session.run(None, arrays), plain.run(None, arrays))
    assert session._runner.recordings is not None
    (recording,) = session._runner.recordings.known.values()
    assert (recording is None) == (name in UNRECORDED)


def test_integers_are_read_by_the_host() -> None:
    """Indices that come with the data make a simulation of their own."""
    w = Weights(9)
    nodes = [
        NODE("MatMul", ["x", w.draw("w1", 4, 6)], ["a"]),
        NODE("Relu", ["a"], ["r"], "relu"),
        NODE("Gather", ["r", "place"], ["g"], axis=1),
        NODE("Tanh", ["g"], ["y"], "tanh"),
    ]
    ann = build(nodes, {"x": ["N", 4]}, {"y": ["N"]}, w)
    ann.graph.input.append(helper.make_tensor_value_info("place", TensorProto.INT64, []))
    x = feed("analog_middle", 3)["x"][:, :4]
    data = {"x": x, "place": np.array(1)}
    model, graphs = onnx2snn.convert(ann, data, time_steps=6, tuning=0), EmulatedGraphs()
    session, plain = recorded(model, graphs), unrecorded(model)
    for place in (1, 1, 1, 4, 1):
        arrays = {"x": x[::-1].copy(), "place": np.array(place)}
        same(session.run(None, arrays), plain.run(None, arrays))
    assert graphs.replayed == 2


@pytest.mark.parametrize("name", [*NAMES, "text_encoder"])
def test_the_zoo_is_recorded(name: str) -> None:
    """Nothing in the time loops of real networks asks the GPU for a number."""
    model = onnx2snn.convert(FOLDER / f"{name}.onnx", _images(name, 2), time_steps=4, tuning=0)
    graphs = EmulatedGraphs()
    session, plain = recorded(model, graphs), unrecorded(model)
    for _ in range(2):
        session.run(None, _images(name, 2))
    other = {n: x[::-1].copy() for n, x in _images(name, 2).items()}
    same(session.run(None, other), plain.run(None, other))
    assert (graphs.recorded, graphs.replayed) == (1, 2)


def _images(name: str, samples: int) -> Feed:
    kind = "text" if name == "text_encoder" else "digits"
    arrays = np.load(FOLDER / f"{kind}_calibration.npz")
    return {n: arrays[n][:samples] for n in arrays.files if n != "labels"}
