"""Samples made of the given ones: on their differences, within their range, reproducible."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import FC1, FC2, RELU, model, samples
from test_tuning import deep_network, relative_error

import onnx2snn
from onnx2snn.calibration.tuning import tune
from onnx2snn.calibration.variations import ENOUGH, FEWEST, LONGEST_REACH, filled


@given(st.integers(FEWEST, 9), st.integers(1, 20), st.sampled_from([np.float32, np.float64]))
@settings(max_examples=40, deadline=None)
def test_new_samples_keep_type_range_and_the_given_ones(count, more, dtype):
    x = np.random.default_rng(count).standard_normal((count, 3, 2)).astype(dtype)
    found = filled({"x": x}, count + more)["x"]
    assert found.shape == (count + more, 3, 2) and found.dtype == dtype
    np.testing.assert_array_equal(found[:count], x)
    assert x.min() <= found.min() and found.max() <= x.max()
    np.testing.assert_array_equal(filled({"x": x}, count + more)["x"], found)


def test_new_samples_lie_on_differences():
    """Of samples on a line, none leaves it, and none goes further than the reach allows."""
    along = np.linspace(-1, 1, 16)
    x = (along[:, None] * np.array([1.0, -1.0, 1.0])).astype(np.float64)
    new = filled({"x": x}, 200)["x"][16:]
    np.testing.assert_allclose(new, new[:, :1] * np.array([1.0, -1.0, 1.0]), atol=1e-12)
    nearest = np.abs(new[:, :1] - along[None]).min(1)
    assert nearest.max() <= LONGEST_REACH * 2 and len(np.unique(new[:, 0])) > 100


def test_ids_masks_and_scalars_stay_those_of_a_sample():
    rows = np.arange(6)
    feed = {
        "x": (rows[:, None] + np.linspace(0, 0.5, 4)).astype(np.float32),
        "ids": np.stack([rows, rows + 10], 1),
        "mask": np.stack([rows % 2, (rows + 1) % 2], 1).astype(np.float32),
        "scale": np.float32(3.0),
    }
    found = filled(feed, 40)
    assert found["scale"] == feed["scale"]
    pairs = {(*ids, *mask) for ids, mask in zip(feed["ids"], feed["mask"], strict=True)}
    assert {(*i, *m) for i, m in zip(found["ids"], found["mask"], strict=True)} == pairs


@pytest.mark.parametrize(
    ("feed", "count", "expected"),
    [
        ({"x": samples(2, 4)}, 8, 2),
        ({"x": samples(8, 4)}, 5, 5),
        ({"x": samples(ENOUGH, 4)}, 2 * ENOUGH, ENOUGH),
        ({"x": samples(ENOUGH, 4)}, 100, 100),
        ({"ids": np.arange(12).reshape(6, 2)}, 12, 6),
        ({"mask": np.eye(6, dtype=np.float32)}, 12, 6),
    ],
)
def test_where_none_can_or_need_be_made(feed, count, expected):
    found = filled(feed, count)
    for name, array in feed.items():
        np.testing.assert_array_equal(found[name], array[:expected])


def test_few_samples_teach_more_with_those_made_of_them(monkeypatch):
    """Inputs on six directions, as real data lie on few."""
    basis = samples(6, 24, seed=9) / 2
    proto, data = deep_network(4), {"x": samples(16, 6, seed=50) @ basis}
    errors = []
    for made in (True, False):
        if not made:
            monkeypatch.setattr(tune, "samples_to_learn_from", lambda cost: 0)
        spiking = onnx2snn.convert(proto, data, time_steps=8, tuning=100)
        errors.append(relative_error(proto, spiking, samples(200, 6, seed=51) @ basis))
    assert errors[0] < 0.75 * errors[1]


def test_samples_without_a_finite_answer_are_not_learnt_from(monkeypatch):
    """Where the ANN has no finite answer to new samples, tuning keeps to the given ones."""
    proto, data = model([FC1, RELU, FC2]), {"x": samples(64, 4)}

    def converted(fill):
        monkeypatch.setattr(onnx2snn.conversion, "filled", fill)
        return onnx2snn.convert(proto, data, time_steps=3, tuning=40).SerializeToString()

    def spoilt(feed, count):
        return {"x": np.concatenate([feed["x"], np.full((1, 4), np.nan, np.float32)])}

    assert converted(spoilt) == converted(lambda feed, count: feed) != converted(filled)
