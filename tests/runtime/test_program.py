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
from test_bound import ROWS, STEPS, form, weights

import onnx2snn
from onnx2snn.ops.node import Node
from onnx2snn.runtime import threads
from onnx2snn.runtime.binding import Binding
from onnx2snn.runtime.bound import bind
from onnx2snn.runtime.fused.build import compiler
from onnx2snn.runtime.linear import LINEAR
from onnx2snn.runtime.program import product
from onnx2snn.runtime.program.linear import BY_OP_TYPE
from onnx2snn.runtime.program.program import laid_out, library
from onnx2snn.runtime.program.signal import Buffer, UnsupportedError, dense
from onnx2snn.runtime.program.step import BoundStep
from onnx2snn.runtime.program.writer import Slots, Writer, placed
from onnx2snn.runtime.session import SpikingSession

pytestmark = pytest.mark.skipif(compiler() is None, reason="needs a C compiler")
ZOO = Path(__file__).parents[2] / "models"
MODELS = ("residual_mlp", "convolutional", "gated", "in_bytes", "products", "attention")
Row = tuple[str, dict[str, Any], list[Any]]
FILTERS = weights(4, 3, 3, 2)
SAME = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
# Sizes that end within vectors, panels and tiles, and axes in other orders.
MORE: dict[str, Row] = {
    "panels": ("Gemm", {}, [(5, 70), weights(70, 77)]),
    "four_vectors": ("MatMul", {}, [(3, 9, 21), weights(21, 64)]),
    "padded": ("Conv", SAME, [(3, 5, 7, 6), weights(19, 5, 3, 3)]),
    "groups": ("Conv", {**SAME, "group": 3}, [(2, 6, 5, 5), weights(60, 2, 3, 3)]),
    "depthwise_1d": ("Conv", {"pads": [1, 0], "group": 9}, [(2, 9, 5), weights(9, 1, 3)]),
    "depthwise": ("Conv", {**SAME, "group": 35}, [(2, 35, 4, 5), weights(35, 1, 3, 3)]),
    "many_images": ("Conv", SAME, [(7, 4, 8, 8), weights(40, 4, 3, 3)]),
    "beside_the_image": ("Conv", {"pads": [4, 5, 4, 5]}, [(2, 3, 4, 3), weights(20, 3, 3, 3)]),
    "strided_groups": (
        "Conv",
        {**SAME, "group": 2, "strides": [2, 2]},
        [(9, 6, 9, 8), weights(24, 3, 3, 3)],
    ),
    "larger_than_images": (
        "Conv",
        {"pads": [3] * 4, "group": 20},
        [(13, 20, 4, 3), weights(20, 1, 7, 7)],
    ),
    "dilated": ("Conv", {"dilations": [2, 1], "strides": [1, 2]}, [(2, 3, 7, 8), FILTERS]),
    "mean_of_rows": ("ReduceMean", {}, [(2, 3, 75), torch.tensor([2])]),
    "mean_of_columns": ("ReduceMean", {"keepdims": 0}, [(2, 37, 59), torch.tensor([1])]),
}  # fmt: skip
BOUND = {name: row for name, row in {**ROWS, **MORE}.items() if name != "cut_by_pads"}


def memory(buffers: torch.Tensor, start: int, view: torch.Tensor) -> torch.Tensor:
    """What a signal's view shows of the buffers."""
    offset = start // 4 + int(view.storage_offset())
    return buffers.view(torch.float32).as_strided(view.shape, view.stride(), offset)


def run(row: Row, threads: int, reverse: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """The result of a program of one node, and that of the operator at every step."""
    op_type, attributes, operands = row
    bound, moving = form(row)
    kernels = library()
    assert kernels is not None
    writer = Writer(STEPS, threads, kernels.kernels, Slots(0), {})
    orders = {i: [0, *range(1, x.dim())[:: -1 if reverse else 1]] for i, x in moving.items()}
    signals = [writer.new(dense(x.shape, orders[i])) for i, x in moving.items()]
    node = Node(op_type, tuple(map(str, range(len(operands)))), ("y",), attributes)
    names = tuple((i, str(i)) for i in moving)
    constants = bound.operands
    kept = (constants, bound.shapes, names, constants)
    binding = Binding(*kept, False, None, True, bound.result, bind(bound))
    step = BoundStep(0, node, binding, signals, bound.result)
    result = BY_OP_TYPE[op_type](writer, step)
    result.buffer.last = len(writer.instructions)
    program, (places, _) = laid_out(writer), placed(writer.buffers)
    buffers = torch.zeros(program.room, dtype=torch.uint8)
    for signal, x in zip(signals, moving.values(), strict=True):
        memory(buffers, places[signal.buffer], signal.view).copy_(x)
    words = program.at(kernels, 0, buffers.data_ptr())
    kernels.run(words.data_ptr(), program.count, threads)
    expected = []
    for t in range(STEPS):
        now = [moving[i][t] if i in moving else x for i, x in enumerate(operands)]
        expected.append(LINEAR[op_type].apply(now, attributes)[0])
    return memory(buffers, places[result.buffer], result.view), torch.stack(expected)


@pytest.mark.parametrize("name", BOUND)
@pytest.mark.parametrize(("threads", "reverse"), [(1, False), (2, True)])
def test_an_instruction_is_its_operator_at_every_step(
    name: str, threads: int, reverse: bool
) -> None:
    found, expected = run(BOUND[name], threads, reverse)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_what_kernels_do_not_know_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnsupportedError, match="two axes"):
        run(("Conv", {}, [(1, 2, 3, 3, 3), weights(2, 2, 1, 1, 1)]), 1, False)
    with pytest.raises(UnsupportedError, match="negative"):
        run(ROWS["cut_by_pads"], 1, False)
    monkeypatch.setattr(product, "MOST_WEIGHTS", 1 << 19)
    with pytest.raises(UnsupportedError, match="too large"):
        run(("Gemm", {}, [(1, 400), weights(400, 400)]), 1, False)


def test_buffers_alive_at_once_lie_apart() -> None:
    buffers = [Buffer(100, 0, 2), Buffer(50, 1, 1), Buffer(40, 2, 3), Buffer(90, 3, 4)]
    places, room = placed(buffers)
    for a in buffers:
        for b in buffers:
            if a is not b and a.first <= b.last and b.first <= a.last:
                assert places[a] + 4 * a.size <= places[b] or places[b] + 4 * b.size <= places[a]
    assert all(places[b] + 4 * b.size <= room for b in buffers)
    assert places[buffers[3]] == 0


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
@pytest.mark.parametrize("spikes", ["binary", "ternary"])
def test_a_program_does_what_the_executor_does(name: str, spikes: str) -> None:
    model, arrays = spiking(name, spikes=spikes), feed(name, 3)
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
