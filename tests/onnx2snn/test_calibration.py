"""Calibration: the fit of step sizes, grouping by channel, the ANN's values, synthetic data."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from small_models import FC1, FC2, NODE, RELU, WEIGHTS, model, samples, value

import onnx2snn
from onnx2snn.calibration import data as calibration_data
from onnx2snn.calibration.ann import activations, site_values
from onnx2snn.calibration.choose import SCHEDULE_NAMES, chooser
from onnx2snn.calibration.moments import Moments
from onnx2snn.calibration.search import _candidates, least_squares, search
from onnx2snn.calibration.trajectory import SMALLEST_STEP, Trajectory, by_channel, neuron_means
from onnx2snn.match import Options, match
from onnx2snn.ops.dynamics import ALPHABETS
from onnx2snn.ops.errors import DataError, UsageError
from onnx2snn.runtime.graph import TensorInfo, read_graph


def even(neurons):
    return torch.full((neurons,), 1 / neurons)


def trajectory(time_steps=6, channels=3, neurons=200):
    """Targets that settle at `final`, channels of different size."""
    generator = torch.Generator().manual_seed(0)
    final = torch.randn(channels, neurons, generator=generator) * torch.tensor([[0.1], [1], [5]])
    noise = torch.randn(time_steps, channels, neurons, generator=generator)
    decay = 0.5 ** torch.arange(1, time_steps + 1).reshape(-1, 1, 1)
    means = final.mean(1)
    return Trajectory(
        moving=final + noise * decay * final.std(1)[:, None],
        final=final,
        means=means[:, None].expand_as(final),
        weights=even(neurons),
        shape=(channels,),
        start=means,
    )


@pytest.mark.parametrize(("floor", "boost"), [(0.0, 1.0), (0.5, 1.0), (0.7, 1.3)])
def test_least_squares_step_is_the_mean_of_error_times_sign(floor, boost):
    data = trajectory()
    found = least_squares(data, ALPHABETS["binary"], torch.zeros(3), floor, boost)
    moving, final = data.moving.double().numpy(), data.final.double().numpy()
    estimate, previous = np.zeros_like(final), np.full(3, SMALLEST_STEP)
    for t in range(data.time_steps):
        sigma = np.where(estimate >= moving[t], 1.0, -1.0)
        fitted = boost * ((estimate - final) * sigma).mean(1)
        previous = np.maximum(np.maximum(fitted, floor * previous), SMALLEST_STEP)
        estimate = estimate - previous[:, None] * sigma
        np.testing.assert_allclose(found.step_sizes[t], previous, rtol=1e-4)
        np.testing.assert_allclose(found.errors[t], ((estimate - final) ** 2).mean(1), rtol=1e-3)


@pytest.mark.parametrize(("schedule", "error"), [("calibrated", 0.02), ("exponential", 0.3)])
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e-14])
def test_small_values_are_followed_as_well_as_large_ones(scale, schedule, error):
    """Untrained networks shrink their signals layer by layer, down to 1e-14."""
    weights = {"w1": np.float32(scale) * WEIGHTS["w1"], "b1": np.float32(scale) * WEIGHTS["b1"]}
    network, feed = model([FC1, RELU, FC2], **weights), {"x": samples(64, 4)}
    snn = onnx2snn.convert(network, feed, time_steps=32, tuning=0, schedule=schedule)
    (found,) = onnx2snn.SpikingSession(snn, device="cpu").run(None, feed)
    (expected,) = onnx.reference.ReferenceEvaluator(network).run(None, feed)
    assert np.linalg.norm(found - expected) < error * np.linalg.norm(expected)


def test_no_other_step_size_leaves_a_smaller_error():
    data = trajectory(time_steps=1)
    found = least_squares(data, ALPHABETS["binary"], torch.zeros(3), 0.0, 1.0)
    sign = torch.where(data.moving[0] <= 0, 1.0, -1.0)
    for factor in (0.8, 0.95, 1.05, 1.2):
        other = (-factor * found.step_sizes[0][:, None] * sign - data.final).square().mean(1)
        assert bool((other >= found.errors[0]).all())


def one_channel(data, channel):
    picked = slice(channel, channel + 1)
    return Trajectory(
        data.moving[:, picked],
        data.final[picked],
        data.means[picked],
        data.weights,
        (1,),
        data.start[picked],
    )


@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize("channel", range(3))
def test_search_keeps_the_least_weighted_error(alphabet, channel):
    data, fire = one_channel(trajectory(), channel), ALPHABETS[alphabet]
    best = search(data, fire)
    weights = 0.5 ** torch.arange(data.time_steps - 1, -1, -1.0)[:, None]
    candidates = list(_candidates(data, fire))
    losses = torch.stack([(weights * c.errors).sum(0) for c in candidates])
    torch.testing.assert_close((weights * best.errors).sum(0), losses.amin(0))
    chosen = candidates[int(losses.argmin())]
    torch.testing.assert_close(best.step_sizes, chosen.step_sizes)
    torch.testing.assert_close(best.centred, chosen.centred)


@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_search_of_many_channels_mixes_whole_candidates(alphabet):
    data, fire = trajectory(), ALPHABETS[alphabet]
    best = search(data, fire)
    assert best.step_sizes.shape == (6, 3) and best.centred.shape == (3,)
    candidates = list(_candidates(data, fire))
    for channel in range(3):
        assert any(
            torch.equal(best.step_sizes[:, channel], c.step_sizes[:, channel])
            and torch.equal(best.centred[channel], c.centred[channel])
            for c in candidates
        )


@pytest.mark.parametrize(
    ("time_steps", "reach", "share"), [(8, 1.3, 0.01), (32, 1.3, 0.01), (128, 2.6, 0.1)]
)
def test_extremes_are_stretched_further_where_there_are_steps_to_spare(time_steps, reach, share):
    final = torch.from_numpy(np.random.default_rng(0).normal(size=(64, 40))).float()
    data = by_channel(final.expand(time_steps, -1, -1), final, None)
    mean, tail = final.mean(), data.weights == data.weights[-1]
    torch.testing.assert_close(data.final.amax() - mean, reach * (final.amax() - mean))
    assert float(data.weights[tail].sum()) == pytest.approx(share, rel=1e-4)


@pytest.mark.parametrize(("axis", "shape"), [(-3, (5, 1, 1)), (-1, (7,)), (-2, (6, 1)), (None, ())])
def test_neurons_are_grouped_by_channel(axis, shape):
    final = torch.arange(2.0 * 5 * 6 * 7).reshape(2, 5, 6, 7)
    if axis is not None:
        index = torch.arange(final.shape[axis], dtype=torch.float32)
        final = index.reshape(-1, *(1,) * (-axis - 1)).expand(2, 5, 6, 7)
    moving = torch.stack([final, final + 10, final + 20])
    data = by_channel(moving, final, axis)
    channels = 1 if axis is None else final.shape[axis]
    assert data.shape == shape and data.time_steps == 3
    assert data.moving.shape == (3, *data.final.shape) and data.final.shape[0] == channels
    if axis is not None:
        assert bool((data.final == torch.arange(float(channels))[:, None]).all())
        torch.testing.assert_close(data.moving[0], data.final)
        assert bool((data.moving.diff(dim=0) >= 10).all())


@pytest.mark.parametrize("axis", [-3, -1, None])
def test_every_neuron_keeps_its_own_mean(axis):
    generator = torch.Generator().manual_seed(0)
    centres = 10 * torch.randn(4, 5, 6, generator=generator)
    final = centres + 0.1 * torch.randn(64, 4, 5, 6, generator=generator)
    data = by_channel(final.unsqueeze(0), final, axis, each_neuron=True)
    torch.testing.assert_close(data.start, final.mean(0), rtol=0, atol=1e-3)
    assert float((data.means - data.final).abs().median()) < 0.2
    assert by_channel(final.unsqueeze(0), final, axis).start.shape == data.shape


def test_means_that_are_noise_shrink_to_that_of_their_channel():
    """Equal neurons: of the spread of their means over few samples, nothing is real."""
    generator = torch.Generator().manual_seed(0)
    scale = torch.tensor([1.0, 5.0])[:, None, None]
    final = 3 + scale * torch.randn(8, 2, 30, 30, generator=generator)
    centre = final.mean((0, 2, 3)).reshape(2, 1, 1)
    noise, kept = (
        (x - centre).square().mean((1, 2))
        for x in (final.mean(0), neuron_means(Moments.of(final), centre))
    )
    assert bool((kept < 0.05 * noise).all())
    one = neuron_means(Moments.of(final[:1]), final[:1].mean((0, 2, 3)).reshape(2, 1, 1))
    assert bool((one.amax((1, 2)) == one.amin((1, 2))).all())


@pytest.mark.parametrize("count", [1, 2, 8])
def test_channels_with_few_values_share_a_schedule(count):
    """Steps fitted to a value or two per channel would vanish: unseen data were out of reach."""
    final = torch.randn(count, 200, generator=torch.Generator().manual_seed(0))
    data = by_channel(final.expand(4, count, 200), final, -1, each_neuron=True)
    assert data.shape == () and data.final.shape[0] == 1
    found = search(data, ALPHABETS["binary"])
    assert float(found.step_sizes.sum()) > 1
    assert float((data.start.expand(200) - final.mean(0)).abs().mean()) > 0.1


def test_large_sites_are_sampled_the_same_way_every_time():
    final = samples(64, 4, 32, 32)
    moving = torch.from_numpy(np.stack([final, 2 * final]))
    one, other = (by_channel(moving, torch.from_numpy(final), -3) for _ in range(2))
    assert one.final.shape[1] < 64 * 32 * 32 and torch.equal(one.final, other.final)
    assert torch.equal(one.moving, other.moving)


def test_targets_of_layer_normalization_equal_numpy():
    node = NODE("LayerNormalization", ["x", "s", "b"], ["y"], "norm", epsilon=1e-3)
    x, scale, bias = samples(5, 8), samples(8, seed=2), samples(8, seed=3)
    proto = model([node], [value("x", "N", 8)], [value("y", "N", 8)], s=scale, b=bias)
    values = {k: torch.from_numpy(v) for k, v in {"x": x, "s": scale, "b": bias}.items()}
    centred = (x - x.mean(-1, keepdims=True)).astype("d")
    unit = centred / np.sqrt(np.square(centred).mean(-1, keepdims=True) + 1e-3)
    for sites in ("decomposed", "fused"):
        graph = match(read_graph(proto), Options(layer_norm=sites)).graph
        found = site_values(graph.nodes[0], values)
        passing = graph.nodes[0].attributes.get("passing", 0.0)
        normalised = found["norm/normalised"]
        np.testing.assert_allclose(normalised.whole, unit, atol=1e-5)
        np.testing.assert_allclose(normalised.target, unit - passing * centred, atol=1e-5)
        if sites == "decomposed":
            square = np.square(centred)
            np.testing.assert_allclose(found["norm/square"].target, square, atol=1e-5)
        assert (len(found), passing) == {"decomposed": (2, 0), "fused": (1, 1)}[sites]


def test_activations_are_those_of_onnxruntime():
    x = samples(6, 4)
    found = activations(model([FC1, RELU, FC2]), ["h", "r", "x", "y"], {"x": x})
    hidden = x @ WEIGHTS["w1"] + WEIGHTS["b1"]
    np.testing.assert_allclose(found["h"], hidden, atol=1e-5)
    np.testing.assert_allclose(found["r"], np.maximum(hidden, 0), atol=1e-5)
    np.testing.assert_array_equal(found["x"], x)
    np.testing.assert_allclose(found["y"], np.maximum(hidden, 0) @ WEIGHTS["w2"], atol=1e-4)


@pytest.mark.parametrize("schedule", [n for n in SCHEDULE_NAMES if n != "calibrated"])
def test_closed_forms_span_the_range_of_every_channel(schedule):
    x = samples(32, 4)
    settings = {"time_steps": 4, "schedule": schedule, "bypass": "none"}
    result = onnx2snn.convert(model([FC1, RELU, FC2]), {"x": x}, **settings)
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in result.graph.initializer}
    final = np.maximum(x @ WEIGHTS["w1"] + WEIGHTS["b1"], 0)
    scale, initial = stored["act/output/scale"], stored["act/output/initial"]
    assert scale.shape == initial.shape == (8,)
    extent = np.abs(final - final.mean(0)).max(0)
    assert (scale >= 0.9 * extent).all() and (scale <= 1.5 * extent).all()
    np.testing.assert_allclose(initial, final.mean(0), atol=0.35 * extent.max())


def test_choices_that_contradict_each_other():
    for arguments in (
        ("calibrated", 0.1, None),
        ("calibrated", None, 0.9),
        ("inverse", None, 0.9),
        ("constant", 0.0, None),
        ("constant", float("nan"), None),
        ("exponential", None, 1.5),
        ("sideways", None, None),
    ):
        with pytest.raises(UsageError):
            chooser(*arguments)


def test_synthetic_data():
    inputs = (
        TensorInfo("x", TensorProto.FLOAT, ("N", 3)),
        TensorInfo("ids", TensorProto.INT64, (2, 3)),
    )
    one, other = calibration_data.synthetic(inputs), calibration_data.synthetic(inputs)
    assert one["x"].shape == (16, 3) and one["x"].dtype == np.float32
    assert one["ids"].shape == (2, 3) and set(one["ids"].ravel().tolist()) <= {0, 1}
    assert all(np.array_equal(one[name], other[name]) for name in one)
    with pytest.raises(DataError, match="--calibration"):
        calibration_data.synthetic((TensorInfo("x", TensorProto.FLOAT, ("N", "H")),))


def test_checked_calibration_data():
    inputs = (TensorInfo("x", TensorProto.FLOAT, (1, 3)), TensorInfo("g", TensorProto.FLOAT, ()))
    feed = calibration_data.checked(inputs, {"x": samples(9, 3), "g": np.asarray(2.0)})
    assert feed["x"].shape == (9, 3) and feed["g"].dtype == np.float32
    for bad in ({"x": samples(9, 4)}, {"x": samples(0, 3)}, {}):
        with pytest.raises(DataError, match=r"'x'|'g'|no sample"):
            calibration_data.checked(inputs[:1], bad)
    two = (inputs[0], TensorInfo("z", TensorProto.FLOAT, (1, 3)))
    with pytest.raises(DataError, match="number of samples"):
        calibration_data.checked(two, {"x": samples(9, 3), "z": samples(8, 3)})


def test_memory_bounds_the_samples():
    assert calibration_data.affordable(1000, 32, 10) == calibration_data.LARGEST_SAMPLES
    assert calibration_data.affordable(5, 32, 10) == 5
    assert calibration_data.affordable(1000, 10**6, 10**9) == 1
