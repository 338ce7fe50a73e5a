"""Operators that the standard defines by others, expanded; oracles that know them as they are."""

import numpy as np
import onnx
import pytest
from onnx import parser
from onnx.reference import ReferenceEvaluator
from test_canonical import run, types

import onnx2snn
from onnx2snn.canonical import canonicalise
from onnx2snn.inspection import inspect_model

EXPANDED = {"Attention", "RotaryEmbedding", "CenterCropPad", "AffineGrid", "SwiGLU"}


def graph(signature: str, body: str, opset: int = 23) -> onnx.ModelProto:
    return parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : {opset}]> g {signature} {{ {body} }}'
    )


def feed(model: onnx.ModelProto, batch: int = 2, seed: int = 0) -> dict[str, np.ndarray]:
    rng, arrays = np.random.default_rng(seed), {}
    for value in model.graph.input:
        shape = [dim.dim_value or batch for dim in value.type.tensor_type.shape.dim]
        kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        numbers = rng.normal(size=shape)
        arrays[value.name] = numbers > -1 if kind.kind == "b" else numbers.astype(kind)
    return arrays


FOUR = "float[N,4,5,3] q, float[N,4,6,3] k, float[N,4,6,3] v"
THREE = "float[N,5,12] q, float[N,6,6] k, float[N,6,6] v"
CACHE = "float[N,4,2,3] pk, float[N,4,2,3] pv"
OUT4, OUT3 = "(float[N,4,5,3] y)", "(float[N,5,12] y)"
ATTENTION = {
    "plain": (f"({FOUR}) => {OUT4}", "y = Attention(q, k, v)"),
    "scale": (f"({FOUR}) => {OUT4}", "y = Attention<scale = 0.2>(q, k, v)"),
    "causal": (f"({FOUR}) => {OUT4}", "y = Attention<is_causal = 1>(q, k, v)"),
    "mask": (f"({FOUR}, float[5,6] m) => {OUT4}", "y = Attention(q, k, v, m)"),
    "truth mask": (f"({FOUR}, bool[N,1,5,6] m) => {OUT4}", "y = Attention(q, k, v, m)"),
    "softcap": (f"({FOUR}) => {OUT4}", "y = Attention<softcap = 2.0>(q, k, v)"),
    "grouped heads": (
        f"({THREE}) => {OUT3}",
        "y = Attention<q_num_heads = 4, kv_num_heads = 2>(q, k, v)",
    ),
    "one head of keys": (
        f"({THREE.replace('N,6,6', 'N,6,3')}) => {OUT3}",
        "y = Attention<q_num_heads = 4, kv_num_heads = 1, is_causal = 1>(q, k, v)",
    ),
    "cache": (
        f"({FOUR}, {CACHE}) => (float[N,4,5,3] y, float[N,4,8,3] a, float[N,4,8,3] b)",
        "y, a, b = Attention<is_causal = 1>(q, k, v, , pk, pv)",
    ),
}
OTHERS = {
    "rotary": (
        "(float[N,4,5,6] x, float[N,5,3] c, float[N,5,3] s) => (float[N,4,5,6] y)",
        "y = RotaryEmbedding(x, c, s)",
    ),
    "rotary of three axes": (
        "(float[N,5,12] x, float[N,5,3] c, float[N,5,3] s) => (float[N,5,12] y)",
        "y = RotaryEmbedding<num_heads = 2, interleaved = 1>(x, c, s)",
    ),
    "crop and pad": (
        "(float[N,8,5] x) => (float[N,4,7] y)",
        "s = Constant<value = int64[2] {4,7}>() y = CenterCropPad<axes = [1,2]>(x, s)",
    ),
    "affine grid": (
        "(float[N,2,3] x) => (float[N,4,5,2] y)",
        "z = Shape<end = 1>(x) t = Constant<value = int64[3] {1,4,5}>()"
        "s = Concat<axis = 0>(z, t) y = AffineGrid(x, s)",
    ),
}


@pytest.mark.parametrize("opset", [23, 24])
@pytest.mark.parametrize("name", [*ATTENTION, *OTHERS])
def test_expanded_operators_keep_their_meaning(name, opset):
    model = graph(*(ATTENTION | OTHERS)[name], opset)
    canonical = canonicalise(model)
    assert not EXPANDED.intersection(types(canonical))
    assert {e.domain for e in canonical.opset_import} == {""} and not canonical.functions
    arrays = feed(model)
    for wanted, given in zip(
        ReferenceEvaluator(model).run(None, arrays), run(canonical, arrays), strict=True
    ):
        np.testing.assert_allclose(given, wanted, atol=1e-5)


@pytest.mark.parametrize("name", ATTENTION)
def test_onnxruntime_knows_attention_as_it_is(name):
    model = graph(*ATTENTION[name])
    arrays = feed(model)
    for wanted, given in zip(run(model, arrays), run(canonicalise(model), arrays), strict=True):
        np.testing.assert_allclose(given, wanted, atol=1e-5)


SPIKING = "a = Tanh(q) b = Tanh(k) c = Tanh(v) "


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_is_covered(name):
    signature, body = ATTENTION[name]
    model = graph(signature, SPIKING + body.replace("(q, k, v", "(a, b, c"))
    report = inspect_model(model)
    assert report.counts["analog"] == 0 and report.counts["product"] == 2


@pytest.mark.parametrize("softmax", ["fused", "decomposed"])
def test_attention_converts(softmax):
    signature, body = ATTENTION["causal"]
    model = graph(signature, SPIKING + body.replace("(q, k, v", "(a, b, c"))
    spiking = onnx2snn.convert(
        model, feed(model, 64, 1), time_steps=32, tuning=0, softmax=softmax, strict=True
    )
    arrays = feed(model, 16, 2)
    (found,) = onnx2snn.SpikingSession(spiking, device="cpu").run(None, arrays)
    (wanted,) = run(model, arrays)
    assert np.linalg.norm(found - wanted) < 0.05 * np.linalg.norm(wanted)


def test_what_has_a_form_of_its_own_is_not_expanded():
    body = "a = Gelu(x) b = HardSwish(a) y = LayerNormalization(b, s, s)"
    model = graph("(float[N,4] x) => (float[N,4] y) <float[4] s = {1,1,1,1}>", body)
    assert types(canonicalise(model)) == ["Gelu", "HardSwish", "LayerNormalization"]
