"""The report by site, held against numpy, onnxruntime and the session's own outputs."""

import json
import math

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from small_models import FC1, FC2, NODE, RELU, answer, model, of_type, samples, value

import onnx2snn
from onnx2snn.calibration.ann import open_onnxruntime
from onnx2snn.evaluation import evaluate
from onnx2snn.layers import LayerTally, relative_error

STEPS = 6
X = samples(8, 4, seed=5)
MIDDLE = NODE("MatMul", ["r", "w2"], ["m"], "fc2")
TANH = NODE("Tanh", ["m"], ["y"], "end")


def two_sites():
    """act (Relu) and end (Tanh), whose estimates are outputs of the model."""
    return model([FC1, RELU, MIDDLE, TANH], outputs=[value("r", "N", 8), value("y", "N", 3)])


def convert(proto, feed=None, **settings):
    feed = {"x": samples(32, 4)} if feed is None else feed
    return onnx2snn.convert(proto, feed, **{"time_steps": STEPS, "tuning": 0, **settings})


def layers(spiking, feed, at, batch_size=64, **options):
    session = onnx2snn.SpikingSession(spiking, device="cpu", **options)
    ann = open_onnxruntime(spiking)
    tally = LayerTally(session, spiking)
    return evaluate(session, ann, feed, None, at, batch_size=batch_size, layers=tally).layers


def stored(spiking):
    return {t.name: numpy_helper.to_array(t) for t in spiking.graph.initializer}


def slowed(spiking, *sites, by=50.0):
    """The spiking file with smaller step sizes at some of its sites."""
    changed = onnx.ModelProto.FromString(spiking.SerializeToString())
    for tensor in changed.graph.initializer:
        if tensor.name in [f"{site}/step_sizes" for site in sites]:
            smaller = (numpy_helper.to_array(tensor) / by).astype("f")
            tensor.CopyFrom(numpy_helper.from_array(smaller, tensor.name))
    return changed


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("windows", ["synchronous", "sequential"])
def test_the_figures_are_those_of_numpy(batch_size, windows):
    spiking = convert(two_sites(), windows=windows, bypass="none")
    session = onnx2snn.SpikingSession(spiking, precision="float64", device="cpu")
    last = session.time_steps
    found = layers(spiking, {"x": X}, [3, last], batch_size, precision="float64")
    courses = session.run(None, {"x": X}, at=range(1, last + 1))
    expected = dict(zip(("act", "end"), answer(two_sites(), {"x": X}), strict=True))
    for name, course in zip(("act", "end"), courses, strict=True):
        [layer] = [layer for layer in found if layer.site == f"{name}/output"]
        parameters = {k.rpartition("/")[2]: a for k, a in stored(spiking).items() if name in k}
        target, start = expected[name].astype("d"), parameters["initial"].astype("d")
        moves = np.diff(
            np.concatenate([np.broadcast_to(start, (1, *target.shape)), course]), axis=0
        )
        assert layer.neurons == target.shape[1] and [p.time_steps for p in layer.points] == [
            3,
            last,
        ]
        for point in layer.points:
            t = point.time_steps
            error = np.linalg.norm(course[t - 1] - target) / np.linalg.norm(target)
            reach = (parameters["scale"] * parameters["step_sizes"][:t].astype("d")).sum(0)
            beyond = np.abs(target - start) > reach + 1e-6
            spikes = (moves[:t] < -1e-9).sum() / moves[:t].size
            assert point.relative_error == pytest.approx(error, rel=1e-4)
            assert point.saturation == pytest.approx(100 * beyond.mean())
            assert point.spike_rate == pytest.approx(spikes)


def test_errors_are_relative_to_the_whole_value_where_a_part_passes_by():
    spiking = convert(two_sites(), bypass="linear")
    (slope,) = (a.f for n in spiking.graph.node for a in n.attribute if a.name == "passing")
    assert slope
    session = onnx2snn.SpikingSession(spiking, precision="float64", device="cpu")
    found = layers(spiking, {"x": X}, [3], precision="float64")
    [layer] = [layer for layer in found if layer.site == "act/output"]
    course, _ = session.run(None, {"x": X}, at=[3])
    target = answer(two_sites(), {"x": X})[0].astype("d")
    error = np.linalg.norm(course[0] - target) / np.linalg.norm(target)
    assert layer.points[0].relative_error == pytest.approx(error, rel=1e-4)


def test_sites_within_a_node_have_targets_of_their_own():
    proto = model([FC1, NODE("LayerNormalization", ["h", "b1"], ["r"], "norm"), FC2])
    spiking = convert(proto, layer_norm="decomposed")
    session = onnx2snn.SpikingSession(spiking, precision="float64", device="cpu")
    estimates = {}

    def keep(state):
        outputs = {s.site.name: s.site.output for s in session.plan.sites}
        estimates.update({name: state.values[o].numpy().copy() for name, o in outputs.items()})

    session.simulate({"x": X}, [STEPS], probe=keep)
    weights = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
    h = X.astype("d") @ weights["w1"] + weights["b1"]
    centred = h - h.mean(1, keepdims=True)
    normalised = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)
    targets = {"norm/square": centred**2, "norm/normalised": normalised}
    found = layers(spiking, {"x": X}, [STEPS], precision="float64")
    assert {layer.site for layer in found} == set(targets)
    for layer in found:
        target = targets[layer.site]
        error = np.linalg.norm(estimates[layer.site] - target) / np.linalg.norm(target)
        assert layer.points[-1].relative_error == pytest.approx(error, rel=1e-4)
        assert (layer.op_type, layer.neurons) == ("LayerNormalization", 8)


def test_the_probe_sees_every_step_asked_for_and_changes_nothing():
    session = onnx2snn.SpikingSession(convert(two_sites()), device="cpu")
    seen = []
    points = session.simulate({"x": X}, [5, 1, 2], probe=lambda state: seen.append(state.time))
    assert seen == [point.time_steps for point in points] == [1, 2, 5]
    for point, other in zip(points, session.simulate({"x": X}, [1, 2, 5]), strict=True):
        np.testing.assert_array_equal(point.outputs["y"], other.outputs["y"])
        assert point.account == other.account


@pytest.mark.parametrize("site", ["act/output", "end/output"])
def test_a_broken_site_comes_first(site):
    spiking = convert(two_sites())
    sound = layers(spiking, {"x": X}, [STEPS])
    assert all(layer.points[-1].saturation < 20 for layer in sound)
    worst, *others = layers(slowed(spiking, site), {"x": X}, [2, STEPS])
    assert worst.site == site and worst.points[-1].saturation > 80
    assert all(layer.points[-1].saturation < 20 for layer in others)


def test_the_order_is_that_of_the_last_error():
    spiking = slowed(convert(two_sites()), "act/output", by=3.0)
    found = layers(spiking, {"x": X}, [1, STEPS])
    errors = [layer.points[-1].relative_error for layer in found]
    assert errors == sorted(errors, reverse=True) and len(errors) == 2


def test_a_site_without_any_signal_has_no_relative_error_and_comes_last():
    muted, dead = NODE("Mul", ["m", "nothing"], ["n"], "muted"), NODE("Abs", ["n"], ["z"], "dead")
    outputs = [value("y", "N", 3), value("z", "N", 3)]
    proto = model([FC1, RELU, MIDDLE, TANH, muted, dead], outputs=outputs, nothing=np.zeros(3, "f"))
    spiking = convert(proto, schedule="exponential")
    *others, last = layers(spiking, {"x": X}, [1, STEPS])
    assert last.site == "dead/output" and [p.relative_error for p in last.points] == [None] * 2
    assert all(layer.points[-1].relative_error > 0 for layer in others)
    json.dumps([layer.to_json() for layer in (*others, last)], allow_nan=False)


@pytest.mark.parametrize(
    ("error", "norm", "expected"),
    [
        (0, 0, 0),
        (4, 1, 2),
        (1, 0, None),
        (math.nan, 1, None),
        (1, math.nan, None),
        (1, 1e-320, None),
    ],
)
def test_a_relative_error_is_a_finite_number_or_none(error, norm, expected):
    assert relative_error(float(error), float(norm)) == expected


def of_kind(kind):
    return of_type(model([FC1, NODE("LayerNormalization", ["h", "b1"], ["r"], "act"), FC2]), kind)


def tokens():
    embed = NODE("Gather", ["table", "ids"], ["e"], "embed")
    mean = NODE("ReduceMean", ["e", "axes"], ["x"], "mean", keepdims=0)
    extra = {"table": samples(11, 4), "axes": np.asarray([1])}
    inputs = [value("ids", "N", 5, kind=TensorProto.INT64)]
    return model([embed, mean, FC1, RELU, FC2], inputs, **extra)


def scaled():
    nodes = [FC1, NODE("Mul", ["h", "gain"], ["g"], "g"), NODE("Relu", ["g"], ["r"], "act"), FC2]
    return model(nodes, [value("x", "N", 4), value("gain")])


def extremum():
    """The nodes' operands are the input itself, a constant and the estimate of another site."""
    top = NODE("Max", ["x", "floor", "negated"], ["t"], "top")
    nodes = [NODE("Neg", ["x"], ["negated"], "neg"), top, NODE("MatMul", ["t", "w1"], ["y"], "fc")]
    return model(nodes, outputs=[value("y", "N", 8)], floor=np.full(4, 0.2, "f"))


def one_by_one():
    flat = NODE("Reshape", ["r", "s"], ["f"], "flat")
    fc = NODE("MatMul", ["f", "w2"], ["y"], "fc")
    inputs, outputs = [value("x", 1, 4)], [value("y", 1, 3)]
    return model([FC1, RELU, flat, fc], inputs, outputs, s=np.asarray([1, 8]))


IDS = np.random.default_rng(0).integers(0, 11, (32, 5))
CASES = {
    "half": (of_kind(TensorProto.FLOAT16), {"x": samples(32, 4).astype(np.float16)}, [8]),
    "double": (of_kind(TensorProto.DOUBLE), {"x": samples(32, 4).astype("d")}, [8]),
    "integers": (tokens(), {"ids": IDS}, [8]),
    "scalar": (scaled(), {"x": samples(32, 4), "gain": np.asarray(1.5, "f")}, [8]),
    "variadic": (extremum(), {"x": samples(32, 4)}, [4, 4]),
    "one by one": (one_by_one(), {"x": samples(32, 4)}, [8]),
}


@pytest.mark.parametrize("case", CASES)
def test_models_of_every_kind(case):
    proto, feed, neurons = CASES[case]
    spiking = convert(proto, feed, time_steps=12)
    found = layers(spiking, feed, [12], batch_size=20)
    assert [layer.neurons for layer in found] == neurons
    for layer in found:
        [point] = layer.points
        assert (
            0 < point.relative_error < 0.1 and point.saturation < 5 and 0.3 < point.spike_rate < 1
        )


def test_a_file_that_onnxruntime_refuses_is_a_model_error():
    spiking = convert(two_sites())
    session = onnx2snn.SpikingSession(spiking, device="cpu")
    del spiking.functions[:]
    with pytest.raises(onnx2snn.ModelError, match="onnxruntime cannot open the model"):
        LayerTally(session, spiking)
