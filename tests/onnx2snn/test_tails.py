"""What lies beyond reach of a schedule: an estimate from calibration data, and what tuning does."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import samples
from test_tuning import deep_network, relative_error

import onnx2snn
from onnx2snn.calibration.tuning.tails import Tail, Tails
from onnx2snn.calibration.tuning.tune import UNSEEN_WEIGHT
from onnx2snn.calibration.walk import SiteParameters
from onnx2snn.layers import LayerTally
from onnx2snn.runtime.state import Parameters


def parameters(step_sizes, initial):
    steps = torch.as_tensor(step_sizes, dtype=torch.float32)
    return SiteParameters(
        scale=torch.ones(()),
        initial=torch.as_tensor(initial, dtype=torch.float32),
        step_sizes=steps,
        thresholds=torch.zeros(len(steps)),
    )


@settings(deadline=None)
@given(st.floats(0.01, 100), st.floats(0, 3))
def test_the_estimate_is_that_of_the_distribution_the_values_have(scale, further):
    """Of exponential values, E[(d - r)^2; d > r] = 2 s^2 exp(-r / s), also beyond the largest."""
    quantiles = (torch.arange(20000, dtype=torch.float64) + 0.5) / 20000
    values = -scale * (1 - quantiles).log()
    reach = torch.tensor([float(values.max()) + further * scale], dtype=torch.float64)
    missed = Tail.of(values.unsqueeze(0)).missed(reach)
    expected = 2 * scale**2 * torch.exp(-reach / scale)
    torch.testing.assert_close(missed, expected, rtol=0.1, atol=0.0)


@settings(deadline=None)
@given(st.floats(0, 5), st.floats(0, 5))
def test_who_reaches_further_misses_less(reach, more):
    tail = Tail.of(torch.randn(3, 500, generator=torch.Generator().manual_seed(0)))
    near, far = (tail.missed(torch.full((3,), x)) for x in (reach, reach + more))
    assert (far <= near).all()
    assert (far >= 0).all()


def test_values_that_end_in_one_point_have_no_tail():
    tail = Tail.of(torch.cat([torch.zeros(1, 90), torch.ones(1, 30)], 1))
    assert tail.missed(torch.tensor([1.0])).item() == 0.0


@pytest.mark.parametrize(
    ("shape", "initial"),
    [((), ()), ((5, 1, 1), (5, 1, 1)), ((5, 1, 1), (5, 2, 3)), ((3,), (2, 3)), ((2, 1), ())],
)
def test_neurons_of_a_schedule_share_a_tail(shape, initial):
    """Against a loop over single neurons, in the ANN's shape [samples, 5, 2, 3]."""
    target, start = torch.from_numpy(samples(40, 5, 2, 3)), torch.from_numpy(samples(*initial))
    chosen = parameters(0.4 + np.abs(samples(4, *shape, seed=1)), start)
    moved = Parameters.of(torch.ones(()), start + 0.1, chosen.step_sizes, chosen.thresholds)
    found = Tails.of(target, chosen).missed(moved)
    groups = {}
    reaches = chosen.step_sizes.sum(0).expand(5, 2, 3)
    owner = torch.arange(int(np.prod(shape))).reshape(shape).expand(5, 2, 3)
    for neuron in np.ndindex(5, 2, 3):
        apart = target[(slice(None), *neuron)] - start.expand(5, 2, 3)[neuron]
        groups.setdefault(int(owner[neuron]), ([], reaches[neuron]))[0].append(apart)
    missed = []
    for parts, reach in groups.values():
        values = torch.cat(parts).unsqueeze(0)
        missed.append(Tail.of(values).missed(reach + 0.1) + Tail.of(-values).missed(reach - 0.1))
    torch.testing.assert_close(found, torch.stack(missed).mean())


def test_tuning_leaves_room_for_what_it_has_not_seen(monkeypatch):
    """On other data no neuron falls short for good, and errors are smaller for it."""
    proto, data = deep_network(2), {"x": samples(256, 24, seed=50)}
    unseen, out_of_reach, errors = samples(2000, 24, seed=51), [], []
    for weight in (0.0, UNSEEN_WEIGHT):
        monkeypatch.setattr("onnx2snn.calibration.tuning.tune.UNSEEN_WEIGHT", weight)
        spiking = onnx2snn.convert(proto, data, time_steps=16, tuning=200)
        tally = LayerTally(onnx2snn.SpikingSession(spiking, device="cpu"), spiking)
        tally.simulate({"x": unseen}, [16])
        out_of_reach.append(sum(layer.points[-1].saturation for layer in tally.report(2000)))
        errors.append(relative_error(proto, spiking, unseen))
    assert out_of_reach[0] > 0.01
    assert out_of_reach[1] < 0.2 * out_of_reach[0]
    assert errors[1] < 0.9 * errors[0]
