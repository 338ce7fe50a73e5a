"""Graphs from other exporters: every nonlinearity spiking, and right in the limit.

The oracle is onnxruntime on the graph as it is written.
"""

import warnings
from collections import Counter

import numpy as np
import pytest
from small_models import answer, relative
from spikes import answers
from wild_rows import BOXES, CONV, ROWS, Wild

import onnx2snn
from onnx2snn.inspection import inspect_model


def feed(model, count, seed=1):
    rng, arrays = np.random.default_rng(seed), {}
    for info in model.graph.input:
        sizes = [d.dim_value for d in info.type.tensor_type.shape.dim][1:]
        numbers = rng.normal(size=(count, *sizes))
        kind = info.type.tensor_type.elem_type
        kinds = {1: "f", 2: np.uint8, 11: "d"}
        arrays[info.name] = (127 + 40 * numbers if kind == 2 else numbers).astype(kinds[kind])
    return arrays


def convert(model, arrays, time_steps):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return onnx2snn.convert(model, arrays, time_steps=time_steps, tuning=0)


@pytest.mark.parametrize("name", ROWS)
def test_graphs_from_the_wild(name):
    """Measured on the calibration samples, where no neuron is short of reach."""
    row, errors = ROWS[name], []
    model = row.model()
    assert inspect_model(model).counts["analog"] == 0
    arrays = feed(model, 24)
    fixed = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value
    test = {n: a[:fixed] if fixed else a for n, a in arrays.items()}
    wanted = answer(model, test)
    for steps in (8, 32):
        spiking = convert(model, arrays, steps)
        session = onnx2snn.SpikingSession(spiking, device="cpu")
        found = session.run(None, test)
        floats = [(a, b) for a, b in zip(found, wanted, strict=True) if b.dtype.kind == "f"]
        errors.append(max(relative(a, b) for a, b in floats))
    assert Counter(n.op_type for n in spiking.graph.node if n.domain == "onnx2snn") == row.expected
    assert errors[1] < 0.02 and errors[1] < 0.5 * errors[0]
    exported = answers(onnx2snn.export(spiking, precision="float64"), test)
    double = onnx2snn.SpikingSession(spiking, device="cpu", precision="float64")
    for a, b in zip(exported.values(), double.run(None, test), strict=True):
        np.testing.assert_allclose(a, b, 1e-10, 1e-10)


def test_regions_that_follow_the_signal_are_analog():
    """One region, as wide as mean activities say."""
    body = """c = Conv<pads = [1,1,1,1]>(x, k) a = Relu(c)
        p = ReduceMean<axes = [2,3], keepdims = 0>(a) m = Mul(p, more) b = Add(m, box)
        y = RoiAlign<output_height = 2, output_width = 2, sampling_ratio = 2>(a, b, images)"""
    stored = {
        **CONV,
        "more": np.float32([[0.1, 0.1, 0.2, 0.2]]),
        "box": BOXES[:1],
        "images": np.array([0]),
    }
    model = Wild("float[1,3,6,6] x", "float[1,4,2,2] y", body, {}, stored, 16).model()
    assert [node.op_type for node in inspect_model(model).analog] == ["RoiAlign"]
    arrays = feed(model, 1)
    (found,) = onnx2snn.SpikingSession(convert(model, arrays, 32), device="cpu").run(None, arrays)
    assert relative(found, answer(model, arrays)[0]) < 0.02


def test_an_output_needs_no_shape(tmp_path):
    model = ROWS["clip by tensors"].model()
    model.graph.output[0].type.tensor_type.ClearField("shape")
    path, arrays = tmp_path / "m.onnx", feed(model, 8)
    path.write_bytes(model.SerializeToString())
    onnx2snn.save(convert(path, arrays, 16), tmp_path / "s.onnx")
    (found,) = onnx2snn.SpikingSession(tmp_path / "s.onnx", device="cpu").run(None, arrays)
    assert relative(found, answer(model, arrays)[0]) < 0.05


def test_nodes_may_share_a_name(tmp_path):
    model = ROWS["positions"].model()
    for node in model.graph.node:
        node.name = "same"
    path, arrays = tmp_path / "m.onnx", feed(model, 8)
    path.write_bytes(model.SerializeToString())
    (found,) = onnx2snn.SpikingSession(convert(path, arrays, 16), device="cpu").run(None, arrays)
    assert relative(found, answer(ROWS["positions"].model(), arrays)[0]) < 0.05
