"""The pipeline as a whole: interface, purity, opsets, passes, folding.

The oracle is onnxruntime on the original model, never our own evaluation.
"""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from onnx2snn.canonical import CANONICAL_DOMAIN, PASSES, TARGET_OPSET, canonicalise
from onnx2snn.ops.errors import ModelError

ort.set_default_logger_severity(4)


def run(model, feed):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, feed)


def feed_for(model, seed=0):
    rng = np.random.default_rng(seed)
    stored = {tensor.name for tensor in model.graph.initializer}
    feed = {}
    for value in model.graph.input:
        if value.name in stored:
            continue
        shape = [dim.dim_value or 2 for dim in value.type.tensor_type.shape.dim]
        kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        feed[value.name] = (2 * rng.normal(size=shape)).astype(kind)
    return feed


def check(model, tolerance=1e-5):
    """The canonical form of `model`, proven equal by onnxruntime; its operators in order."""
    before = model.SerializeToString(deterministic=True)
    result = canonicalise(model)
    assert model.SerializeToString(deterministic=True) == before, "the input was modified"
    if all(value.type.tensor_type.HasField("shape") for value in result.graph.output):
        onnx.checker.check_model(result, full_check=True)
    feed = feed_for(model)
    for wanted, given in zip(run(model, feed), run(result, feed), strict=True):
        assert wanted.shape == given.shape and wanted.dtype == given.dtype
        scale = max(1.0, float(np.abs(wanted).max(initial=0)))
        np.testing.assert_allclose(given, wanted, atol=tolerance * scale, rtol=0)
    return result


def types(model):
    return [node.op_type for node in model.graph.node]


def text(body, opset=20, inputs="float[N,3,4,4] x", outputs="float[] y", extra=""):
    return parser.parse_model(
        f'<ir_version: 8, opset_import: ["": {opset}, "com.microsoft": 1]>'
        f"g ({inputs}) => ({outputs}) {{ {body} }} {extra}"
    )


def unshaped(model):
    """The model with outputs of unknown shape, as the parser's `float[]` means a scalar."""
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    return onnx.shape_inference.infer_shapes(model)


OPSETS = [
    ("y = ReduceMean<axes=[2,3], keepdims=0>(x)", (7, 11, 13, 17)),
    ("y = ReduceSum<axes=[1]>(x)", (7, 11)),
    ("y = ReduceL2<axes=[1]>(x)", (7, 13, 17)),
    ("a = ReduceMean<axes=[2]>(x) y = Squeeze<axes=[2]>(a)", (7, 11)),
    ("y = Unsqueeze<axes=[0,2]>(x)", (7, 11)),
    ("y = Clip<min=0.0, max=0.5>(x)", (7, 9)),
    ("y = Slice<axes=[1,2], starts=[0,1], ends=[2,3]>(x)", (7, 9)),
    ('y = Pad<mode="constant", pads=[0,0,1,1,0,0,1,1], value=0.5>(x)', (7, 10)),
    ('y = Pad<mode="reflect", pads=[0,0,1,1,0,0,1,1]>(x)', (7, 10)),
    ('y = Upsample<mode="nearest", scales=[1.0,1.0,2.0,2.0]>(x)', (7, 8)),
    ('y = Upsample<mode="linear", scales=[1.0,1.0,2.0,2.0]>(x)', (7, 8)),
    ('s = Constant<value_floats=[1.0,1.0,2.0,2.0]>() y = Upsample<mode="linear">(x, s)', (9,)),
    ('s = Constant<value=float[4]{1,1,2,2}>() y = Resize<mode="linear">(x, s)', (10,)),
    ('s = Constant<value=float[4]{1,1,1.5,1.5}>() y = Resize<mode="nearest">(x, s)', (10,)),
    ("y = Dropout<ratio=0.3>(x)", (7, 10)),
    ("y = Dropout(x)", (12, 13)),
    ("y = Softmax(x)", (7, 11, 13)),
    ("y = Softmax<axis=1>(x)", (7, 12, 13)),
    ("y = LogSoftmax<axis=2>(x)", (7, 11)),
    ("y, i = TopK<k=2, axis=1>(x)", (7, 9)),
    ("k = Constant<value=int64[1]{2}>() y, i = TopK<axis=1>(x, k)", (10,)),
    ("y, b = Split<axis=1, split=[1,2]>(x)", (7, 11)),
    ("y, b = Split<axis=2>(x)", (7, 11, 13)),
    ("a = Constant<value=float[3]{1,2,3}>() y = BatchNormalization(x, a, a, a, a)", (7, 9, 14)),
    ("w = Constant<value=float[4]{1,2,3,4}>() y = LayerNormalization(x, w, w)", (17,)),
    ("w = Constant<value=float[3]{1,2,3}>() y = GroupNormalization<num_groups=3>(x, w, w)", (18,)),
    ("i = Constant<value=float{2.0}>() y = Pow(x, i)", (7, 12)),
    ("y = AveragePool<kernel_shape=[2,2], strides=[2,2]>(x)", (7, 10, 11)),
    ("y = Sum(x, x, x)", (7,)),
    ("c = ArgMax<axis=1>(x) y = Cast<to=1>(c)", (7, 11)),
]


@pytest.mark.parametrize(("body", "opset"), [(b, v) for b, vs in OPSETS for v in vs])
def test_old_opsets_mean_the_same_in_the_target_opset(body, opset):
    result = check(unshaped(text(body, opset)))
    assert {e.domain: e.version for e in result.opset_import}[""] == TARGET_OPSET
    assert result.ir_version >= 8


def test_newer_opsets_stay_and_their_swish_has_our_form():
    result = check(unshaped(text("a = Relu(x) y = Neg(a)", 22)))
    assert {e.domain: e.version for e in result.opset_import}[""] == 22
    swish = canonicalise(unshaped(text("y = Swish<alpha = 1.5>(x)", 24))).graph.node[0]
    assert (swish.domain, swish.op_type, swish.attribute[0].f) == (CANONICAL_DOMAIN, "Swish", 1.5)


def test_what_the_converter_cannot_do_is_an_error():
    with pytest.raises(ModelError, match=r"node 'h': Hardmax of opset 11.*opset 13"):
        canonicalise(unshaped(text("[h] y = Hardmax<axis=1>(x)", 11)))


def test_inputs_and_outputs_keep_names_and_symbolic_shapes():
    model = text("a = Relu(image) logits = Identity(a)", 13, "float[batch,3,H,W] image", "")
    model.graph.output.append(
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3, "H", "W"])
    )
    model.metadata_props.add(key="author", value="me")
    result = check(model)
    assert list(result.graph.input) == list(model.graph.input)
    assert list(result.graph.output) == list(model.graph.output)
    assert types(result) == ["Relu"] and result.metadata_props[0].value == "me"


def test_initialisers_are_no_longer_inputs():
    model = text("y = Add(x, w)", 9, "float[N,3] x, float[3] w", "float[N,3] y")
    model.ir_version = 3
    model.graph.initializer.append(numpy_helper.from_array(np.ones(3, "f"), "w"))
    result = check(model)
    assert [value.name for value in result.graph.input] == ["x"]


def test_an_output_may_be_stored_or_an_untouched_input():
    model = text("y = Relu(x) c = Constant<value=float[2]{1,2}>() same = Identity(x)", 13)
    for name, shape in (("c", [2]), ("same", ["N", 3, 4, 4])):
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    check(unshaped(model))


def test_local_functions_are_inlined():
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17, "mine": 1]>
        g (float[N,4] x) => (float[N,4] y) { [call] y = mine.Twice<by = 3.0>(x) }
        <domain: "mine", opset_import: ["": 17]>
        Twice <by> (a) => (c) {
          k = Constant<value_float: float = @by>() b = Mul(a, k) c = Relu(b) }"""
    )
    result = check(model)
    assert types(result) == ["Mul", "Relu"] and not result.functions


def test_canonical_form_is_a_fixed_point():
    body = """s = Sigmoid(x) a = Mul(x, s) m = ReduceMean<axes=[-1]>(a) c = Sub(a, m)
        q = Mul(c, c) v = ReduceMean<axes=[-1]>(q) e = Constant<value=float{0.00001}>()
        w = Add(v, e) d = Sqrt(w) y = Div(c, d)"""
    once = check(unshaped(text(body, 13)))
    assert types(once) == ["Swish", "LayerNormalization"]
    assert types(check(once)) == types(once)


def test_every_pass_is_honest_and_named():
    assert len({one.name for one in PASSES}) == len(PASSES)
    assert all(one.requires and one.ensures for one in PASSES)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("a = Identity(x) b = Identity(a) y = Relu(b)", ["Relu"]),
        ("a = Cast<to=1>(x) y = Relu(a)", ["Relu"]),
        ("z = Constant<value=float{0.0}>() a = Add(z, x) y = Relu(a)", ["Relu"]),
        ("o = Constant<value=float[3,1,1]{1,1,1}>() a = Mul(x, o) y = Relu(a)", ["Relu"]),
        ("o = Constant<value=float[2,1,1,1,1]{1,1}>() y = Mul(x, o)", ["Mul"]),
        ("a = Transpose<perm=[0,2,3,1]>(x) b = Transpose<perm=[0,3,1,2]>(a) y = Relu(b)", ["Relu"]),
        ("a = Transpose<perm=[0,2,3,1]>(x) y = Transpose<perm=[0,2,1,3]>(a)", ["Transpose"]),
        ("s = Shape(x) a = Reshape(x, s) y = Relu(a)", ["Relu"]),
        ("u = Abs(x) v = Exp(u) y = Relu(x)", ["Relu"]),
        ("s = Shape<start=1,end=3>(x) t = Cast<to=1>(s) t1 = ReduceMax(t) y = Add(x, t1)", ["Add"]),
        ("k = Constant<value_float=0.5>() y = Mul(x, k)", ["Mul"]),
        ("k = Constant<value_ints=[0,-1]>() y = Reshape(x, k)", ["Flatten"]),
        ("s = Shape<start=0,end=1>(x) m = Constant<value_ints=[-1]>() "
         "k = Concat<axis=0>(s, m) y = Reshape(x, k)", ["Flatten"]),
        ("k = Constant<value_ints=[-1,48]>() y = Reshape(x, k)", ["Flatten"]),
        ("s = Shape(x) i = Constant<value=int64{0}>() b = Gather(s, i) "
         "z = Constant<value_ints=[0]>()"
         "u = Unsqueeze(b, z) m = Constant<value_ints=[3,16]>() k = Concat<axis=0>(u, m)"
         "y = Reshape(x, k)", ["Reshape"]),
        ("y = GlobalAveragePool(x)", ["ReduceMean"]),
        ("a = GlobalAveragePool(x) y = Flatten(a)", ["ReduceMean"]),
        ("a = AveragePool<kernel_shape=[4,4]>(x) z = Constant<value_ints=[2,3]>() "
         "y = Squeeze(a, z)", ["ReduceMean"]),
        ("a = AveragePool<kernel_shape=[4,2]>(x) y = Flatten(a)", ["AveragePool", "Flatten"]),
        ("a = Sin(x) y = Erf(a)", ["Sin", "Erf"]),
        ("n = Constant<value_ints=[-1,-2]>() y = ReduceMean(x, n)", ["ReduceMean"]),
    ],
)  # fmt: skip
def test_forms_of_layout(body, wanted):
    assert types(check(unshaped(text(body)))) == wanted


def test_large_or_random_results_are_not_stored():
    body = """s = Constant<value_ints=[4096,4096]>() z = ConstantOfShape(s) t = ReduceSum(z)
        r = RandomNormal<shape=[3,4,4]>() q = Mul(r, t) y = Add(x, q)"""
    model = unshaped(text(body))
    result = canonicalise(model)
    assert {"ConstantOfShape", "RandomNormal"} <= set(types(result))
    assert result.ByteSize() < 1 << 16


def test_subgraphs_survive():
    body = """w = Constant<value=float[3,1,1]{1,2,3}>() m = ReduceSum<keepdims=0>(x)
        z = Constant<value=float{0}>() c = Greater(m, z) a = Mul(x, w)
        y = If(c) <then_branch = t () => (float[N,3,4,4] p) { p = Mul(a, w) },
                   else_branch = e () => (float[N,3,4,4] q) { q = Neg(a) }>"""
    assert types(check(unshaped(text(body)))) == ["ReduceSum", "Greater", "Mul", "If"]


def test_as_strided_of_the_whole_tensor_is_a_reshape():
    body = """m = GlobalAveragePool(x) f = Constant<value_ints=[-1]>() flat = Reshape(m, f)
        s = Shape<start=0,end=1>(x) n = Squeeze(s)
        zero = Constant<value=int64{0}>() one = Constant<value=int64{1}>()
        r = Range(zero, n, one) three = Constant<value=int64{3}>() k = Mul(r, three)
        u = Constant<value_ints=[1,2,3]>() v = Unsqueeze(k, u)
        o = Constant<value=int64[1,3,1,1]{0,1,2}>() i = Add(v, o) g = Gather<axis=0>(flat, i)
        y = Flatten(g)"""
    assert types(check(unshaped(text(body)))) == ["ReduceMean"]
    shuffled = body.replace("{0,1,2}", "{0,2,1}")
    assert "Gather" in types(check(unshaped(text(shuffled))))


def test_a_reader_inside_a_subgraph_is_no_part_of_a_pattern():
    body = """w = Constant<value=float[4,4]{1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7}>()
        b = Constant<value=float[4]{1,2,3,4}>() z = Constant<value=float{0}>()
        m = ReduceSum<keepdims=0>(x) c = Greater(m, z) a = MatMul(x, w) r = ReduceMean(x)
        y = If(c) <then_branch = t () => (float[N,4] p) { p = Add(a, b) },
                   else_branch = e () => (float[N,4] q) { q = Add(r, b) }>"""
    result = check(unshaped(text(body, 17, "float[N,4] x")))
    assert types(result)[-1] == "If" and "MatMul" in types(result)


def test_a_heavy_weight_read_in_a_subgraph_only():
    body = """z = Constant<value=float{0}>() m = ReduceSum<keepdims=0>(x) c = Greater(m, z)
        y = If(c) <then_branch = t () => (float[N,80] p) { p = MatMul(x, w) },
                   else_branch = e () => (float[N,80] q) { q = Neg(x) }>"""
    model = text(body, 17, "float[N,80] x")
    weight = np.random.default_rng(0).normal(size=(80, 80)).astype("f")
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    assert types(check(unshaped(model), 1e-4))[-1] == "If"


def test_a_choice_by_mask_is_not_a_function_of_the_mask():
    body = """z = Constant<value=float{0}>() o = Constant<value=float{1}>()
        y = Where(mask, o, z)"""
    assert types(check(unshaped(text(body, 20, "bool[N,4] mask")))) == ["Where"]
