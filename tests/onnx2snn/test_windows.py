"""Windows: when sites start, that they are silent outside, and what the wait wins."""

import numpy as np
import onnx
import pytest
from small_models import FC1, FC2, NODE, RELU, model, samples
from test_tuning import deep_network, relative_error

import onnx2snn
from onnx2snn.calibration.windows import depths, parse_offset, windows
from onnx2snn.match import Options, match
from onnx2snn.ops.errors import UsageError
from onnx2snn.runtime.graph import read_graph
from onnx2snn.runtime.plan import compile_plan


def plan_of(proto):
    return compile_plan(match(read_graph(proto), Options()).graph)


def residual():
    """x -> a -> r; r + tanh(tanh(r)) -> mish: the long way counts."""
    nodes = [
        FC1,
        RELU,
        NODE("Tanh", ["r"], ["t"], "one"),
        NODE("Tanh", ["t"], ["u"], "two"),
        NODE("Add", ["r", "u"], ["s"], "sum"),
        NODE("Mish", ["s"], ["g"], "last"),
        NODE("MatMul", ["g", "w2"], ["y"], "out"),
    ]
    return model(nodes)


def test_depth_is_that_of_the_longest_way():
    found = {name.split("/")[0]: depth for name, depth in depths(plan_of(residual())).items()}
    assert found == {"act": 0, "one": 1, "two": 2, "last": 3}


@pytest.mark.parametrize(
    ("offset", "starts", "latency"),
    [(0.0, [0, 0, 0, 0], 4), (0.5, [0, 2, 4, 6], 10), (1.0, [0, 4, 8, 12], 16)],
)
def test_starts_and_latency(offset, starts, latency):
    found = windows(plan_of(residual()), 4, offset)
    assert list(found.starts.values()) == starts and found.latency == latency


@pytest.mark.parametrize(
    ("text", "offset"), [("synchronous", 0), ("sequential", 1), ("0.25", 0.25)]
)
def test_names_of_offsets(text, offset):
    assert parse_offset(text) == offset


@pytest.mark.parametrize("text", ["late", "-0.1", "1.5", "nan"])
def test_other_offsets_are_refused(text):
    with pytest.raises(UsageError, match="windows"):
        parse_offset(text)


def test_sites_are_silent_outside_their_windows():
    spiking = onnx2snn.convert(
        residual(), {"x": samples(64, 4)}, time_steps=3, windows="sequential", tuning=2
    )
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in spiking.graph.initializer}
    for depth, site in enumerate(("act", "one", "two", "last")):
        steps = stored[f"{site}/output/step_sizes"].reshape(12, -1)
        assert np.flatnonzero(steps.any(1)).tolist() == [3 * depth, 3 * depth + 1, 3 * depth + 2]
    session = onnx2snn.SpikingSession(spiking, device="cpu")
    assert session.time_steps == 12
    points = session.simulate({"x": samples(10, 4)}, range(1, 13))
    spikes = [point.account.spikes for point in points]
    assert points[0].account.neurons == 4 * 80
    assert spikes[-1] <= 3 * 4 * 80
    assert spikes == sorted(spikes)


@pytest.mark.parametrize("spikes", ["binary", "ternary"])
def test_waiting_for_settled_inputs_lowers_the_error(spikes):
    proto, data = deep_network(), {"x": samples(256, 24, seed=50)}
    settings = {"time_steps": 4, "spikes": spikes, "tuning": 0, "bypass": "none"}
    errors = [
        relative_error(
            proto,
            onnx2snn.convert(proto, data, windows=name, **settings),
            samples(200, 24, seed=51),
        )
        for name in ("synchronous", "0.5", "sequential")
    ]
    assert errors[2] < 0.7 * errors[0] and errors[1] < errors[0]


def test_blocks_of_any_length_give_the_same_spikes():
    spiking = onnx2snn.convert(
        residual(), {"x": samples(64, 4)}, time_steps=3, windows="0.5", tuning=2
    )
    feed, runs = {"x": samples(10, 4, seed=3)}, []
    for block in (1, 2, 5, 16):
        session = onnx2snn.SpikingSession(spiking, device="cpu", precision="float64", block=block)
        points = session.simulate(feed, range(1, session.time_steps + 1))
        runs.append(
            (
                [point.account.spikes for point in points],
                np.stack([point.outputs["y"] for point in points]),
            )
        )
    for spikes, outputs in runs[1:]:
        assert spikes == runs[0][0]
        np.testing.assert_allclose(outputs, runs[0][1], atol=1e-12)


def test_windows_need_not_be_named():
    proto, data = model([FC1, RELU, FC2]), {"x": samples(8, 4)}
    one, other = (
        onnx2snn.convert(proto, data, time_steps=3, tuning=0, **settings)
        for settings in ({}, {"windows": "synchronous"})
    )
    assert one.SerializeToString() == other.SerializeToString()
