"""Decomposed layer normalisation, in its spellings, and what only looks like one."""

import numpy as np
import onnx
import pytest
from test_canonical import check, text, types, unshaped

EPS = "e = Constant<value = float {0.00001}>() two = Constant<value = float {2.0}>()"


def mean(source, target, axes, opset):
    if opset < 18:
        return f"{target} = ReduceMean<axes={axes}>({source})"
    return f"{target}_a = Constant<value_ints={axes}>() {target} = ReduceMean({source}, {target}_a)"


def decomposed(axes, opset=20, square="q = Pow(c, two)", division="d = Sqrt(w) n = Div(c, d)"):
    return " ".join([
        EPS, mean("x", "m", axes, opset), "c = Sub(x, m)", square, mean("q", "v", axes, opset),
        "w = Add(v, e)", division,
    ])  # fmt: skip


SQUARES = [
    "q = Pow(c, two)",
    "q = Mul(c, c)",
    "c2 = Sub(x, m) q = Pow(c2, two)",
    "m2_a = Constant<value_ints=[-1]>() m2 = ReduceMean(x, m2_a) c2 = Sub(x, m2) q = Mul(c2, c2)",
]
DIVISIONS = [
    "d = Sqrt(w) n = Div(c, d)",
    "d = Sqrt(w) r = Reciprocal(d) n = Mul(c, r)",
    "d = Sqrt(w) r = Reciprocal(d) n = Mul(r, c)",
    "p = Constant<value = float {-0.5}>() r = Pow(w, p) n = Mul(r, c)",
    "p = Constant<value = float {0.5}>() d = Pow(w, p) n = Div(c, d)",
    "one = Constant<value = float {1.0}>() d = Sqrt(w) r = Div(one, d) n = Mul(c, r)",
]


def attributes(node):
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


@pytest.mark.parametrize("square", SQUARES)
@pytest.mark.parametrize("division", DIVISIONS)
def test_spellings(square, division):
    body = decomposed([-1], square=square, division=division) + "y = Relu(n)"
    result = check(unshaped(text(body)))
    assert types(result) == ["LayerNormalization", "Relu"]
    assert attributes(result.graph.node[0])["epsilon"] == pytest.approx(1e-5)


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 18, 20])
@pytest.mark.parametrize("axes", [[-1], [3], [2, 3], [-1, -2], [1, 2, 3]])
def test_trailing_axes(opset, axes):
    result = check(unshaped(text(decomposed(axes, opset) + "y = Relu(n)", opset)))
    assert types(result) == ["LayerNormalization", "Relu"]
    assert attributes(result.graph.node[0])["axis"] == -len(axes)


@pytest.mark.parametrize("axes", [[1], [2], [1, 2], [-3], [1, 3]])
def test_inner_axes_are_moved_to_the_end(axes):
    result = check(unshaped(text(decomposed(axes) + "y = Relu(n)")))
    assert types(result) == ["Transpose", "LayerNormalization", "Transpose", "Relu"]


AFFINE = [
    ([-1], "float[4]{1,2,3,4}", "float[4]{5,6,7,8}", True),
    ([-1], "float[1,1,1,4]{1,2,3,4}", "float{0.5}", True),
    ([2, 3], "float[4,4]{%s}", "float[4]{1,2,3,4}", True),
    ([1], "float[3,1,1]{1,2,3}", "float[1,3,1,1]{4,5,6}", True),
    ([-1], "float[3,1,1]{1,2,3}", "float[4]{1,2,3,4}", False),
    ([2, 3], "float[3,1,1]{1,2,3}", "float[3,1,1]{1,2,3}", False),
]


@pytest.mark.parametrize(("axes", "gain", "bias", "absorbed"), AFFINE)
@pytest.mark.parametrize("swapped", [False, True])
def test_gain_and_bias(axes, gain, bias, absorbed, swapped):
    gain = gain.replace("%s", ",".join(str(v) for v in range(1, 17)))
    products = ("g, n", "b, p") if swapped else ("n, g", "p, b")
    body = decomposed(axes) + (
        f"g = Constant<value = {gain}>() b = Constant<value = {bias}>()"
        f"p = Mul({products[0]}) s = Add({products[1]}) y = Relu(s)"
    )
    left = [kind for kind in types(check(unshaped(text(body)))) if kind != "Transpose"]
    affine = [] if absorbed else ["Mul", "Add"]
    assert left == ["LayerNormalization", *affine, "Relu"]


NEAR_MISSES = {
    "two axes": decomposed([-1]).replace(
        "v_a = Constant<value_ints=[-1]>", "v_a = Constant<value_ints=[2]>"
    ),
    "another tensor in the square": decomposed([-1], square="z = Abs(x) q = Pow(z, two)"),
    "cubed": decomposed([-1]).replace("float {2.0}", "float {3.0}"),
    "no epsilon": decomposed([-1]).replace("w = Add(v, e)", "w = Identity(v)"),
    "negative epsilon": decomposed([-1]).replace("0.00001", "-0.00001"),
    "the tensor itself over its deviation": decomposed([-1], division="d = Sqrt(w) n = Div(x, d)"),
}  # fmt: skip


@pytest.mark.parametrize("what", NEAR_MISSES)
def test_near_misses(what):
    model = unshaped(text(NEAR_MISSES[what] + "y = Relu(n)"))
    result = check(model) if what != "negative epsilon" else None
    assert result is None or "LayerNormalization" not in types(result)


def test_opset_17_node_counts_its_axis_from_the_end():
    body = "w = Constant<value = float[4]{1,2,3,4}>() y = LayerNormalization<axis=3>(x, w)"
    result = check(unshaped(text(body, 17)))
    assert attributes(result.graph.node[0])["axis"] == -1


def test_a_normalised_width_that_is_unknown_is_left():
    body = decomposed([-1]) + "y = Relu(n)"
    model = unshaped(text(body, 20, "float[N,3,4,W] x"))
    assert "LayerNormalization" not in types(check(model))


def test_scale_is_in_the_type_of_the_tensor():
    body = decomposed([-1]) + "y = Relu(n)"
    result = check(unshaped(text(body)))
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in result.graph.initializer}
    scale, bias = (stored[name] for name in result.graph.node[0].input[1:])
    assert scale.dtype == np.float32 and scale.shape == (4,) and (scale == 1).all()
    assert bias.dtype == np.float32 and bias.shape == (4,) and (bias == 0).all()
