"""End-to-end tuning: it lowers the error on unseen data, changes no weight, keeps to its budget."""

import numpy as np
import onnx
import pytest
import torch
from small_models import FC1, FC2, NODE, RELU, model, samples, value

import onnx2snn
from onnx2snn.calibration.ann import open_onnxruntime
from onnx2snn.calibration.tuning.average import Average
from onnx2snn.calibration.tuning.budget import (
    BATCH,
    FEWEST_STEPS,
    LONGEST_WINDOW,
    MOST_STEPS,
    Cost,
    affordable_steps,
    batch_size,
)
from onnx2snn.calibration.tuning.knobs import Knobs
from onnx2snn.calibration.tuning.tune import _batches, _rate
from onnx2snn.calibration.walk import SiteParameters
from onnx2snn.ops.errors import UsageError
from onnx2snn.runtime.state import Parameters


def deep_network(layers=6, width=24):
    """A chain of Mish layers, deep enough for synchronous calibration to lag behind."""
    weights = {f"d{i}": samples(width, width, seed=i) * 1.3 / width**0.5 for i in range(layers)}
    nodes = []
    for i in range(layers):
        nodes.append(NODE("MatMul", [f"h{i}" if i else "x", f"d{i}"], [f"a{i}"], f"fc{i}"))
        nodes.append(NODE("Mish", [f"a{i}"], [f"h{i + 1}"], f"mish{i}"))
    nodes.append(NODE("MatMul", [f"h{layers}", "d0"], ["y"], "out"))
    return model(nodes, [value("x", "N", width)], [value("y", "N", width)], **weights)


def relative_error(proto, spiking, x):
    (expected,) = open_onnxruntime(proto).run(None, {"x": x})
    (found,) = onnx2snn.SpikingSession(spiking, device="cpu").run(None, {"x": x})
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize(("spikes", "time_steps"), [("binary", 6), ("ternary", 4)])
def test_tuning_lowers_the_error_on_unseen_data(spikes, time_steps):
    proto, data = deep_network(), {"x": samples(256, 24, seed=50)}
    errors = []
    for steps in (0, 200):
        spiking = onnx2snn.convert(proto, data, time_steps=time_steps, spikes=spikes, tuning=steps)
        errors.append(relative_error(proto, spiking, samples(200, 24, seed=51)))
    assert errors[1] < 0.9 * errors[0]


def test_tuning_is_reproducible_and_leaves_weights_alone():
    proto, data = deep_network(2), {"x": samples(64, 24, seed=50)}
    first, second = (onnx2snn.convert(proto, data, time_steps=4, tuning=30) for _ in range(2))
    assert first.SerializeToString() == second.SerializeToString()
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in first.graph.initializer}
    for tensor in proto.graph.initializer:
        if tensor.name in stored:
            np.testing.assert_array_equal(stored[tensor.name], onnx.numpy_helper.to_array(tensor))


def test_what_does_not_help_is_not_kept(monkeypatch):
    """Tuning that makes things worse on the samples held out gives way to the calibration."""
    proto, data = deep_network(2), {"x": samples(64, 24, seed=50)}
    plain = onnx2snn.convert(proto, data, time_steps=4, tuning=0)
    monkeypatch.setattr("onnx2snn.calibration.tuning.tune.RATE", 30.0)
    spoilt = onnx2snn.convert(proto, data, time_steps=4, tuning=8)
    assert spoilt.SerializeToString() == plain.SerializeToString()


def test_infinite_slopes_do_not_spoil_tuning():
    nodes = [FC1, RELU, NODE("Sqrt", ["r"], ["q"], "root"), NODE("MatMul", ["q", "w2"], ["y"], "o")]
    result = onnx2snn.convert(model(nodes), {"x": samples(64, 4)}, time_steps=4, tuning=10)
    for tensor in result.graph.initializer:
        assert np.isfinite(onnx.numpy_helper.to_array(tensor)).all()


def test_one_sample_and_analog_nodes_are_no_obstacle():
    nodes = [FC1, RELU, NODE("Sign", ["r"], ["g"], "sign"), NODE("MatMul", ["g", "w2"], ["y"], "o")]
    onnx2snn.convert(model(nodes), {"x": samples(1, 4)}, time_steps=4, tuning=3)


def test_knobs_start_at_the_parameters_and_stay_silent_outside_the_window():
    steps = torch.rand(6, 3, 1) + 0.1
    steps[:2] = 0
    thresholds = torch.rand(6) * steps.any(1).squeeze()
    start = SiteParameters(torch.ones(()), torch.rand(3, 1), steps, thresholds)
    knobs = Knobs.of(start, 2.0)
    found, expected = knobs.parameters(), Parameters.of(**vars(start))
    assert found.window == expected.window == (2, 6)
    torch.testing.assert_close(found.initial, expected.initial)
    torch.testing.assert_close(found.step_sizes, expected.step_sizes)
    torch.testing.assert_close(found.thresholds, start.thresholds[:, None, None].expand(6, 3, 1))
    with torch.no_grad():
        knobs.single.add_(1.0)
        knobs.by_time.add_(1.0)
    moved = knobs.chosen()
    assert bool((moved.step_sizes[:2] == 0).all())
    torch.testing.assert_close(moved.step_sizes, expected.step_sizes * torch.e**2)


def test_budget_shrinks_with_the_model():
    small, large = Cost(10_000, 1_000), Cost(15_000_000_000, 30_000_000)
    assert affordable_steps(small, 8, 256) == MOST_STEPS
    assert affordable_steps(large, 32, 64) == 0
    assert affordable_steps(small, LONGEST_WINDOW, 256) > affordable_steps(small, 64, 256) == 0
    assert batch_size(small, 8, 256) == BATCH and batch_size(small, 8, 5) == 5
    steps = [affordable_steps(Cost(2_000_000, 40_000), t, 256) for t in (8, 16, 32, 48)]
    assert steps == sorted(steps, reverse=True)
    assert all(n == 0 or n >= FEWEST_STEPS for n in steps)


def test_batches_visit_every_sample_and_rates_decay():
    batches = _batches(10, 4, torch.Generator().manual_seed(0))
    seen = torch.cat([next(batches) for _ in range(5)])
    assert sorted(seen[:10].tolist()) == sorted(seen[10:].tolist()) == list(range(10))
    rates = [_rate(step, 50) for step in range(50)]
    assert rates[0] < rates[4] <= max(rates) and rates[-1] < 0.1


def test_the_mean_of_the_last_steps():
    """A parameter that wanders about 3 settles there; where it came from does not count."""
    x = torch.tensor([100.0, 100.0])
    average = Average([x], 200)
    for step in range(200):
        x.copy_(torch.tensor([3.0 + (-1) ** step, 3.0]) if step > 50 else 100.0)
        average.update()
    average.settle()
    assert abs(float(x[0]) - 3) < 0.1 and abs(float(x[1]) - 3) < 1e-4
    single = torch.ones(1)
    alone = Average([single], 1)
    single.fill_(2.0)
    alone.update()
    alone.settle()
    assert float(single) == 2


def test_tuning_belongs_to_the_calibrated_schedule():
    proto, data = model([FC1, RELU, FC2]), {"x": samples(8, 4)}
    with pytest.raises(UsageError, match="exponential"):
        onnx2snn.convert(proto, data, schedule="exponential", tuning=5)
    with pytest.raises(UsageError, match="tuning steps"):
        onnx2snn.convert(proto, data, tuning=-1)
