"""What is computed from decoded outputs and reaches no neuron is a readout."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import parser

import onnx2snn
from onnx2snn.inspection import inspect_model

WEIGHTS = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
HEAD = "a = Tanh(x) h = MatMul(a, w)"


def graph(outputs: str, tail: str) -> onnx.ModelProto:
    model = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        g (float[N,4] x) => ({outputs}) <int64[1] k = {{2}}, float t = {{0.5}}>
        {{ {HEAD} {tail} }}"""
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(WEIGHTS, "w"))
    return model


def roles(model: onnx.ModelProto) -> dict[str, str]:
    return {node.op_type: node.role for node in inspect_model(model).nodes}


@pytest.mark.parametrize(
    ("outputs", "tail", "wanted"),
    [
        ("int64[N,1] y", "y = ArgMax<axis = 1>(h)", {"ArgMax"}),
        ("int64[N,1] y", "s = Softmax(h) y = ArgMin<axis = 1>(s)", {"ArgMin"}),
        ("float[N,2] y, int64[N,2] i", "y, i = TopK(h, k)", {"TopK"}),
        ("float[N,2] y", "v, i = TopK(h, k) s = Neg(v) y = Add(s, t)", {"TopK", "Neg", "Add"}),
        (
            "float[M] y",
            "z = Constant<value_ints = [0]>() g = Less(h, t) n = NonZero(g)"
            "p = Transpose(n) y = GatherND(h, p)",
            {"Less", "NonZero", "Transpose", "GatherND"},
        ),
        ("bool[N,5] y", "g = Greater(h, t) y = Not(g)", {"Greater", "Not"}),
        ("int64[N,5] y", "y = Cast<to = 7>(h)", {"Cast"}),
        ("int64[2,M] y", "g = Greater(h, t) y = NonZero(g)", {"Greater", "NonZero"}),
        ("float[N,5] y, int64[N,1] i", "y = Relu(h) i = ArgMax<axis = 1>(h)", {"ArgMax"}),
    ],
)
def test_readouts(outputs, tail, wanted):
    found = roles(graph(outputs, tail))
    assert {kind for kind, role in found.items() if role == "readout"} == wanted
    assert "analog" not in found.values()


def test_what_neurons_read_is_no_readout():
    tail = "i = ArgMax<axis = 1>(h) f = Cast<to = 1>(i) s = Add(h, f) y = Tanh(s)"
    report = inspect_model(graph("float[N,5] y", tail))
    analog = {node.op_type: node.reason for node in report.analog}
    assert set(analog) == {"ArgMax", "Cast"} and report.counts["readout"] == 0
    assert "not a floating-point signal" in analog["ArgMax"]


def test_a_choice_among_signals_is_no_readout():
    found = roles(graph("float[N,5] y", "e = Equal(h, t) y = Where(e, h, t)"))
    assert found["Where"] == found["Equal"] == "analog"


def test_a_real_result_without_spiking_form_is_no_readout():
    tail = "k2 = Constant<value_ints = [0, 5, 1, 1]>() m = Reshape(h, k2) y = Det(m)"
    assert roles(graph("float[N,5] y", tail))["Det"] == "analog"


def test_readouts_are_computed_from_decoded_values_and_strict_accepts_them():
    model = graph("float[N,2] y, int64[N,2] i", "y, i = TopK(h, k)")
    samples = np.random.default_rng(1).normal(size=(128, 4)).astype(np.float32)
    spiking = onnx2snn.convert(model, {"x": samples}, time_steps=32, tuning=0, strict=True)
    values, places = onnx2snn.SpikingSession(spiking).run(None, {"x": samples[:32]})
    session = ort.InferenceSession(model.SerializeToString())
    wanted_values, wanted_places = session.run(None, {"x": samples[:32]})
    np.testing.assert_allclose(values, wanted_values, atol=0.02)
    assert (places == wanted_places).mean() > 0.9
