"""What a walk learns of the calibration samples that it has no memory for."""

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import FC1, FC2, RELU, model, samples

import onnx2snn
from onnx2snn.calibration import data as calibration_data
from onnx2snn.calibration.moments import Moments, moments
from onnx2snn.calibration.trajectory import FURTHEST, by_channel
from onnx2snn.runtime.session import SpikingSession


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(0, 9))
def test_moments_of_parts_are_those_of_the_whole(sizes, seed):
    whole = 3 + 2 * random(sum(sizes), 4, 3, seed=seed)
    found = moments({"site": part} for part in whole.split(sizes))["site"]
    assert found.count == sum(sizes)
    torch.testing.assert_close(found.mean, whole.mean(0))
    expected = whole.var(0) if sum(sizes) > 1 else torch.zeros(4, 3)
    torch.testing.assert_close(found.variance, expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(found.lowest, whole.amin(0))
    assert torch.equal(found.highest, whole.amax(0))


@pytest.mark.parametrize("other", [torch.zeros(2, 4), torch.zeros(())])
def test_sites_whose_shape_changes_with_the_samples_are_left_out(other):
    parts = [{"a": torch.ones(2, 3), "b": torch.ones(2, 3)}, {"a": torch.ones(2, 3), "b": other}]
    assert set(moments(parts)) == {"a"}


@pytest.mark.parametrize(("axis", "channels"), [(-2, 4), (-1, 3), (None, 1)])
def test_stretched_extremes_reach_those_of_all_samples(axis, channels):
    whole = random(80, 4, 3) * torch.tensor([1.0, 2.0, 5.0])
    some = whole[:40].clamp(-3, 3)
    data = by_channel([some], some, axis, seen=Moments.of(whole))
    grouped = whole.flatten().unsqueeze(0) if axis is None else whole.movedim(axis, 0).flatten(1)
    centre = grouped.mean(1)
    assert data.final.shape[0] == channels
    torch.testing.assert_close(data.start.flatten(), centre)
    for sign, found, known in (
        (1, data.final.amax(1), grouped.amax(1)),
        (-1, data.final.amin(1), grouped.amin(1)),
    ):
        reach = 1.3 * (known - centre)
        assert bool((sign * (found - centre - reach) > -1e-4).all())


def test_neurons_without_further_axes_are_channels():
    whole = random(80, 3)
    data = by_channel([whole[:40]], whole[:40], -1, seen=Moments.of(whole))
    torch.testing.assert_close(data.start, whole.mean(0))


def test_a_channel_that_is_silent_at_hand_is_stretched_by_a_bounded_factor():
    whole = random(64, 8)
    some = whole[:32] * 1e-6
    data = by_channel([some], some, None, seen=Moments.of(whole))
    centre = float(whole.mean())
    furthest = float((some - centre).abs().max()) * 1.3 * FURTHEST
    assert float((data.final - centre).abs().max()) <= furthest * (1 + 1e-5)


def test_values_beyond_the_walk_are_within_reach(monkeypatch):
    """The one large sample lies outside of what the walk holds."""
    image = samples(64, 4)
    image[40] *= 30
    network = model([FC1, RELU, FC2])

    def error():
        with pytest.warns(UserWarning, match="8 of 64 calibration samples"):
            snn = onnx2snn.convert(network, {"x": image}, time_steps=48, tuning=0)
        (found,) = SpikingSession(snn, device="cpu").run(None, {"x": image[40:41]})
        return float(np.abs(found - expected).max() / np.abs(expected).max())

    (expected,) = onnx.reference.ReferenceEvaluator(network).run(None, {"x": image[40:41]})
    monkeypatch.setattr(calibration_data, "affordable", lambda *_: 8)
    with_moments = error()
    monkeypatch.setattr("onnx2snn.calibration.values.moments", lambda parts: {})
    assert with_moments < 0.05 < error()
