"""Fused operators of onnxruntime, written out again: each held against onnxruntime's own kernel."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from small_models import value
from test_canonical import run, types

from onnx2snn.canonical import canonicalise
from onnx2snn.inspection import inspect_model
from onnx2snn.ops.errors import ModelError

RNG = np.random.default_rng(0)
BATCH, LENGTH, WIDTH, HEADS = 3, 5, 8, 2


def normal(*shape):
    return RNG.normal(size=shape).astype("f")


def single(op_type, operands, kinds=None, outputs=1, **attributes):
    """A model of one node of com.microsoft; arrays are stored, others are inputs by shape."""
    names, inputs, stored = [], [], []
    for i, operand in enumerate(operands):
        names.append("" if operand is None else f"x{i}")
        if isinstance(operand, np.ndarray):
            stored.append(numpy_helper.from_array(operand, f"x{i}"))
        elif operand is not None:
            kind = (kinds or {}).get(i, TensorProto.FLOAT)
            inputs.append(value(f"x{i}", *operand, kind=kind))
    results = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op_type, names, results, "n", domain="com.microsoft", **attributes)
    kinds = [TensorProto.INT32 if name == "y1" else TensorProto.FLOAT for name in results]
    results = [
        helper.make_tensor_value_info(name, kind, None)
        for name, kind in zip(results, kinds, strict=True)
    ]
    graph = helper.make_graph([node], "g", inputs, results, stored)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def check(model, feed):
    """The canonical form, equal to onnxruntime's kernel and free of its domain."""
    result = canonicalise(model)
    assert not [node.op_type for node in result.graph.node if node.domain == "com.microsoft"]
    for wanted, found in zip(run(model, feed), run(result, feed), strict=True):
        np.testing.assert_allclose(found, wanted, atol=2e-5)
    return result


LENGTHS = np.array([5, 2, 1], np.int32)
MASKS = {
    "none": (None, None),
    "lengths": (("N",), LENGTHS),
    "rows": (("N", LENGTH), (np.arange(LENGTH) < LENGTHS[:, None]).astype(np.int32)),
    "full": (("N", LENGTH, LENGTH), RNG.integers(0, 2, (BATCH, LENGTH, LENGTH)).astype(np.int32)),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("attributes", [{}, {"unidirectional": 1}, {"scale": 0.3}])
def test_attention(mask, biased, attributes):
    shape, values = MASKS[mask]
    bias = ("N", HEADS, LENGTH, LENGTH) if biased else None
    operands = [
        ("N", LENGTH, WIDTH),
        normal(WIDTH, 3 * WIDTH),
        normal(3 * WIDTH),
        shape,
        None,
        bias,
    ]
    model = single("Attention", operands, {3: TensorProto.INT32}, num_heads=HEADS, **attributes)
    feed = {"x0": normal(BATCH, LENGTH, WIDTH)}
    if values is not None:
        feed["x3"] = values
    if biased:
        feed["x5"] = normal(BATCH, HEADS, LENGTH, LENGTH)
    check(model, feed)
    assert inspect_model(model).counts["analog"] == 0


def test_attention_of_unequal_widths():
    sizes = [WIDTH, WIDTH, 2 * WIDTH]
    operands = [("N", LENGTH, WIDTH), normal(WIDTH, sum(sizes)), normal(sum(sizes))]
    model = single("Attention", operands, num_heads=HEADS, qkv_hidden_sizes=sizes)
    check(model, {"x0": normal(BATCH, LENGTH, WIDTH)})


@pytest.mark.parametrize("mask", ["none", "lengths", "rows"])
@pytest.mark.parametrize("biased", [True, False])
def test_multi_head_attention(mask, biased):
    shape, values = MASKS[mask]
    signals = [("N", LENGTH, WIDTH)] * 3
    bias = normal(3 * WIDTH) if biased else None
    extra = ("N", HEADS, LENGTH, LENGTH) if biased else None
    operands = [*signals, bias, shape, extra]
    model = single("MultiHeadAttention", operands, {4: TensorProto.INT32}, num_heads=HEADS)
    feed = {f"x{i}": normal(BATCH, LENGTH, WIDTH) for i in range(3)}
    if values is not None:
        feed["x4"] = values
    if biased:
        feed["x5"] = normal(BATCH, HEADS, LENGTH, LENGTH)
    check(model, feed)
    assert inspect_model(model).counts["analog"] == 0


@pytest.mark.parametrize("kept", [0, 3])
@pytest.mark.parametrize("biased", [True, False])
def test_multi_head_attention_of_a_decoder(kept, biased):
    """Keys and values are handed on, behind those of earlier calls where there are any."""
    past = ("N", HEADS, kept, WIDTH // HEADS) if kept else None
    scores = ("N", HEADS, LENGTH, LENGTH + kept) if biased else None
    operands = [*[("N", LENGTH, WIDTH)] * 3, None, None, scores, past, past]
    model = single("MultiHeadAttention", operands, outputs=3, num_heads=HEADS)
    model.graph.output[1].type.tensor_type.elem_type = TensorProto.FLOAT
    feed = {}
    for info in model.graph.input:
        feed[info.name] = normal(*(d.dim_value or BATCH for d in info.type.tensor_type.shape.dim))
    check(model, feed)
    assert inspect_model(model).counts["analog"] == 0


ANGLES = np.outer(np.arange(12), 1 / 100 ** (np.arange(8) / 8))
TABLES = [np.cos(ANGLES).astype("f"), np.sin(ANGLES).astype("f")]
SIZE = 16
"""Of a head."""


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("offset", [True, False])
@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        ((LENGTH, 2 * SIZE), {}),
        ((2, LENGTH, SIZE), {}),
        ((LENGTH, 2 * SIZE + 8), {"num_heads": 2, "rotary_embedding_dim": SIZE}),
    ],
)
def test_rotary_embedding(shape, attributes, offset, interleaved):
    places = np.array([3]) if offset else RNG.integers(0, 12, (BATCH, LENGTH))
    operands = [("N", *shape), (1,) if offset else ("N", LENGTH), *TABLES]
    attributes = {**attributes, "interleaved": interleaved}
    model = single("RotaryEmbedding", operands, {1: TensorProto.INT64}, **attributes)
    check(model, {"x0": normal(BATCH, *shape), "x1": places})


@pytest.mark.parametrize(
    "attributes",
    [{}, {"scale": 0.3}, {"do_rotary": 1}, {"do_rotary": 1, "rotary_interleaved": 1}],
)
@pytest.mark.parametrize("packed", [True, False])
def test_attention_of_grouped_heads(attributes, packed):
    """Its outputs are those of a decoder: the result, and keys and values for later calls."""
    heads = {"num_heads": 4, "kv_num_heads": 2}
    counts = np.full(BATCH, LENGTH - 1, np.int32), np.array(LENGTH, np.int32)
    widths = (8 * SIZE,) if packed else (4 * SIZE, 2 * SIZE, 2 * SIZE)
    signals = [("N", LENGTH, width) for width in widths] + [None] * (3 - len(widths))
    operands = [*signals, None, None, *counts, *TABLES]
    model = single("GroupQueryAttention", operands, outputs=3, **heads, **attributes)
    model.graph.output[1].type.tensor_type.elem_type = TensorProto.FLOAT
    check(model, {f"x{i}": normal(BATCH, LENGTH, width) for i, width in enumerate(widths)})
    assert inspect_model(model).counts["analog"] == 0


def test_attention_that_keeps_the_past_is_named():
    operands = [
        *[("N", LENGTH, WIDTH), normal(WIDTH, 3 * WIDTH), normal(3 * WIDTH)],
        *[None, (2, "N", HEADS, 3, WIDTH // HEADS)],
    ]
    model = single("Attention", operands, outputs=2, num_heads=HEADS)
    (left,) = canonicalise(model).graph.node
    assert left.op_type == "Attention"


@pytest.mark.parametrize("outputs", [2, 3])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("placed", [True, False])
def test_embeddings(outputs, masked, placed):
    row = ("N", LENGTH)
    operands = [
        *[row, row, normal(20, WIDTH), normal(LENGTH + 2, WIDTH), normal(2, WIDTH)],
        *[normal(WIDTH), normal(WIDTH), row if masked else None, row if placed else None],
    ]
    whole = dict.fromkeys((0, 1, 7, 8), TensorProto.INT32)
    model = single("EmbedLayerNormalization", operands, whole, outputs, epsilon=1e-5)
    feed = {
        "x0": RNG.integers(0, 20, (BATCH, LENGTH)).astype(np.int32),
        "x1": RNG.integers(0, 2, (BATCH, LENGTH)).astype(np.int32),
    }
    if masked:
        feed["x7"] = MASKS["rows"][1]
    if placed:
        feed["x8"] = RNG.integers(0, LENGTH, (BATCH, LENGTH)).astype(np.int32)
    assert types(check(model, feed)).count("LayerNormalization") == 1


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("attributes", [{}, {"transA": 1, "alpha": 0.5}, {"transB": 1}])
def test_fused_matmul(stored, attributes):
    left, right = ((2, 4, 3), (2, 4, 3)) if attributes else ((2, 3, 4), (2, 4, 3))
    if attributes.get("transB"):
        left, right = (2, 3, 4), (2, 5, 4)
    model = single("FusedMatMul", [left, normal(*right) if stored else right], **attributes)
    check(model, {"x0": normal(*left)} | ({} if stored else {"x1": normal(*right)}))


@pytest.mark.parametrize(
    ("activation", "parameters"),
    [("Relu", []), ("LeakyRelu", [0.2]), ("HardSigmoid", [0.3, 0.4]), ("Clip", [-0.5, 1.5])],
)
def test_fused_convolution(activation, parameters):
    operands = [("N", 2, 6, 6), normal(4, 2, 3, 3), normal(4), ("N", 4, 6, 6)]
    attributes = {"activation": activation, "pads": [1, 1, 1, 1]}
    if parameters:
        attributes["activation_params"] = parameters
    model = single("FusedConv", operands, **attributes)
    feed = {"x0": normal(2, 2, 6, 6), "x3": normal(2, 4, 6, 6)}
    assert types(check(model, feed)) == ["Conv", "Add", activation]


@pytest.mark.parametrize(("activation", "alpha"), [("Relu", None), ("LeakyRelu", 0.3)])
def test_fused_gemm(activation, alpha):
    attributes = {} if alpha is None else {"activation_alpha": alpha}
    operands = [("N", 4), normal(3, 4), normal(3)]
    model = single("FusedGemm", operands, transB=1, alpha=0.5, activation=activation, **attributes)
    assert types(check(model, {"x0": normal(5, 4)})) == ["Gemm", activation]


def test_a_layout_for_one_processor_is_refused():
    node = helper.make_node("Conv", ["x", "w"], ["y"], "c", domain="com.microsoft.nchwc")
    graph = helper.make_graph([node], "g", [value("x", 1)], [value("y", 1)])
    with pytest.raises(ModelError, match=r"node 'c'.*level extended"):
        canonicalise(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))
