"""`time_steps="auto"`: the search, and that it keeps its promise on the calibration data."""

import json

import numpy as np
import pytest
from small_models import samples
from test_tuning import deep_network

import onnx2snn
from onnx2snn.calibration.ann import open_onnxruntime
from onnx2snn.calibration.fewest import MOST, fewest_steps
from onnx2snn.ops.errors import ModelError, UsageError


@pytest.mark.parametrize("needed", [1, 2, 3, 5, 8, 13, 100])
def test_search_finds_the_fewest(needed):
    asked = []

    def disagreement(time_steps):
        asked.append(time_steps)
        return 5.0 if time_steps < needed else 0.5

    choice = fewest_steps(disagreement, 1.0)
    assert choice.time_steps == needed
    assert sorted(choice.tried) == sorted(asked) and len(asked) <= 2 * np.log2(max(needed, 2)) + 2


def test_what_cannot_be_reached_is_an_error():
    with pytest.raises(ModelError, match=rf"{MOST} time steps.*9.0 %.*--tolerance"):
        fewest_steps(lambda time_steps: 9.0, 1.0)


def test_the_promise_holds_on_the_calibration_data():
    proto, x = deep_network(3), samples(200, 24, seed=50)
    spiking = onnx2snn.convert(proto, {"x": x}, time_steps="auto", tolerance=5, tuning=0)
    metadata = {entry.key: entry.value for entry in spiking.metadata_props}
    chosen = int(metadata["onnx2snn.time_steps"])
    tried = json.loads(metadata["onnx2snn.calibration"])["disagreement"]
    (expected,) = open_onnxruntime(proto).run(None, {"x": x})
    session = onnx2snn.SpikingSession(spiking, device="cpu")
    (found,) = session.run(None, {"x": x})
    wrong = 100 * float((found.argmax(1) != expected.argmax(1)).mean())
    assert session.time_steps == chosen
    assert tried[str(chosen)] == pytest.approx(wrong) and wrong <= 5
    assert tried[str(chosen - 1)] > 5


@pytest.mark.parametrize("wrong", [{"time_steps": "some"}, {"tolerance": 100}, {"tolerance": -1}])
def test_settings_out_of_range(wrong):
    with pytest.raises(UsageError):
        onnx2snn.convert(deep_network(1), {"x": samples(4, 24)}, **wrong)
