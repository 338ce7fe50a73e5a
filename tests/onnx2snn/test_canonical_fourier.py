"""DFT and STFT of constant size as matrix products; oracle: onnxruntime, or onnx's reference."""

import numpy as np
import pytest
from onnx import parser
from onnx.reference import ReferenceEvaluator
from small_models import relative, samples
from test_canonical import check, run, types

import onnx2snn
from onnx2snn.canonical import canonicalise
from onnx2snn.inspection import inspect_model

SIZE = {
    "": "",
    "shorter": "l = Constant<value_int = 8>()",
    "longer": "l = Constant<value_int = 16>()",
}
WINDOW = "w = Constant<value = float[8] {0.1, 0.3, 0.7, 1, 0.9, 0.7, 0.3, 0.1}>()"
FRAMES = f"s = Constant<value_int = 4>() {WINDOW} l = Constant<value_int = 8>()"


def graph(body, inputs, outputs, opset):
    return parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : {opset}]> g ({inputs}) => ({outputs}) {{ {body} }}'
    )


def dft(axis, opset, attributes, size=""):
    """The node with its axis as attribute, before opset 20, or as operand."""
    length = "l" if size else ""
    if opset < 20:
        return f"{SIZE[size]} y = DFT<axis = {axis}{attributes}>(x{', l' if size else ''})"
    given = f"<{attributes.removeprefix(', ')}>" if attributes else ""
    return f"{SIZE[size]} a = Constant<value_int = {axis}>() y = DFT{given}(x, {length}, a)"


@pytest.mark.parametrize("opset", [17, 20])
@pytest.mark.parametrize(
    ("axis", "shape", "attributes", "size", "result"),
    [
        (2, (3, 12, 1), "", "", (3, 12, 2)),
        (2, (3, 12, 1), ", onesided = 1", "", (3, 7, 2)),
        (1, (6, 4, 2), "", "", (6, 4, 2)),
        (1, (6, 4, 2), ", inverse = 1", "", (6, 4, 2)),
        (2, (3, 12, 1), "", "shorter", (3, 8, 2)),
        (2, (3, 12, 1), "", "longer", (3, 16, 2)),
    ],
)
def test_a_spectrum_is_a_matrix_product(opset, axis, shape, attributes, size, result):
    shapes = (",".join(map(str, ("N", *dims))) for dims in (shape, result))
    ends = [f"float[{dims}] {name}" for dims, name in zip(shapes, "xy", strict=True)]
    made = graph(dft(axis, opset, attributes, size), *ends, opset)
    found = types(check(made, 5e-6))
    assert "MatMul" in found and "DFT" not in found


@pytest.mark.parametrize(
    ("node", "bins", "known"),
    [
        ("STFT(x, s, w, l)", 5, True),
        ("STFT(x, s, w)", 5, True),
        ("STFT<onesided = 0>(x, s, w)", 8, False),
        ("STFT(x, s, , l)", 5, False),
    ],
)
def test_spectra_of_frames_are_a_convolution(node, bins, known):
    """onnxruntime computes only those `known` to it right."""
    made = graph(f"{FRAMES} y = {node}", "float[N,32,1] x", f"float[N,7,{bins},2] y", 17)
    feed = {"x": samples(2, 32, 1)}
    (wanted,) = run(made, feed) if known else ReferenceEvaluator(made).run(None, feed)
    result = canonicalise(made)
    np.testing.assert_allclose(run(result, feed)[0], wanted, atol=1e-5)
    assert "Conv" in types(result) and "STFT" not in types(result)


@pytest.mark.parametrize(("inputs", "node"), [("float[N,L,1] x", "DFT<axis = 1>(x)")])
def test_an_open_size_is_left(inputs, node):
    made = graph(f"y = {node}", inputs, "float[N,L,2] y", 17)
    assert types(canonicalise(made)) == ["DFT"]


def test_a_spectrogram_on_the_way_of_a_network():
    """Log-magnitudes of frames, of a signal that spikes."""
    body = f"""{FRAMES} h = Tanh(x) f = STFT(h, s, w, l) q = Mul(f, f)
        p = ReduceSum<keepdims = 0>(q, last) last = Constant<value_ints = [3]>()
        one = Constant<value_float = 1.0>() m = Add(p, one) y = Log(m)"""
    made = graph(body, "float[N,32,1] x", "float[N,7,5] y", 17)
    assert inspect_model(made).counts["analog"] == 0
    errors = []
    for steps in (8, 32):
        feed = {"x": samples(64, 32, 1, seed=1)}
        spiking = onnx2snn.convert(made, feed, time_steps=steps, tuning=0)
        test = {"x": samples(16, 32, 1, seed=2)}
        (found,) = onnx2snn.SpikingSession(spiking, device="cpu").run(None, test)
        errors.append(relative(found, run(made, test)[0]))
    assert errors[1] < 0.03 and errors[1] < errors[0]
