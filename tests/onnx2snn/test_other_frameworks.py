"""Networks of Keras and scikit-learn, as tf2onnx and skl2onnx wrote them (data/exporters)."""

import tarfile
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from small_models import relative

import onnx2snn
from onnx2snn.calibration.ann import open_onnxruntime
from onnx2snn.inspection import inspect_model

FILE = Path(__file__).parents[1] / "data" / "exporters" / "networks.tar.xz"
WORDS = 20
# Calibration values: a small input needs more samples before none is out of their range.
VALUES, FEWEST = 16384, 64


@cache
def networks():
    with tarfile.open(FILE) as tar:
        members = tar.getmembers()
        return {m.name: onnx.load_from_string(tar.extractfile(m).read()) for m in members}


def feed(model, count, seed):
    """Pixels for the pipeline of scikit-learn, words for embeddings, normal noise elsewhere."""
    (entry,) = model.graph.input
    shape = [count, *(d.dim_value for d in entry.type.tensor_type.shape.dim[1:])]
    rng = np.random.default_rng(seed)
    if entry.type.tensor_type.elem_type == onnx.TensorProto.INT32:
        return {entry.name: rng.integers(0, WORDS, shape).astype(np.int32)}
    if entry.name == "X":
        return {entry.name: rng.integers(0, 17, shape).astype(np.float32)}
    return {entry.name: rng.standard_normal(shape).astype(np.float32)}


def error(model, time_steps):
    """Relative, of the last output: probabilities come after labels."""
    size = sum(array.size for array in feed(model, 1, 1).values())
    calibration = feed(model, max(FEWEST, VALUES // size), 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spiking = onnx2snn.convert(model, calibration, time_steps=time_steps, tuning=0)
    test = feed(model, 64, 2)
    found, wanted = (
        session.run(None, test)[-1]
        for session in (onnx2snn.SpikingSession(spiking, device="cpu"), open_onnxruntime(model))
    )
    return relative(found, wanted)


def slow_if_older(name):
    return pytest.param(name, marks=() if "-18" in name else pytest.mark.slow)


@pytest.mark.parametrize("name", [slow_if_older(name) for name in networks()])
def test_nothing_is_analog_and_the_error_vanishes(name):
    model = networks()[name]
    assert inspect_model(model).counts["analog"] == 0
    assert error(model, 32) < 0.03
    assert error(model, 128) < 0.006
