"""RMS, group and mean-variance normalisation in their spellings; operators cast from truth."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from test_canonical import check, text, types, unshaped
from test_canonical_layer_norm import DIVISIONS, EPS, attributes, mean

from onnx2snn.canonical import CANONICAL_DOMAIN, canonicalise

GAIN = "g = Constant<value = float[4] {1,2,3,4}>()"


def rms(axes, opset=20, square="q = Pow(x, two)", division=DIVISIONS[0]):
    body = [EPS, square, mean("q", "v", axes, opset), "w = Add(v, e)", division]
    return " ".join(body).replace("(c,", "(x,").replace(", c)", ", x)")


@pytest.mark.parametrize("square", ["q = Pow(x, two)", "q = Mul(x, x)"])
@pytest.mark.parametrize("division", DIVISIONS)
def test_spellings_of_rms_normalisation(square, division):
    body = rms([-1], square=square, division=division) + f"{GAIN} y = Mul(g, n)"
    result = check(unshaped(text(body)))
    (node,) = result.graph.node
    assert (node.domain, node.op_type) == (CANONICAL_DOMAIN, "RMSNormalization")
    assert attributes(node) == {"axis": -1, "epsilon": pytest.approx(1e-5)}
    stored = {t.name: numpy_helper.to_array(t) for t in result.graph.initializer}
    np.testing.assert_array_equal(stored[node.input[1]], [1, 2, 3, 4])


@pytest.mark.parametrize("opset", [11, 13, 18])
@pytest.mark.parametrize("axes", [[-1], [3], [1], [2, 3]])
def test_axes_of_rms_normalisation(opset, axes):
    result = check(unshaped(text(rms(axes, opset) + "y = Relu(n)", opset)))
    moved = ["Transpose"] * (axes == [1])
    assert types(result) == [*moved, "RMSNormalization", *moved, "Relu"]


def test_a_bias_behind_rms_normalisation_stays():
    result = check(unshaped(text(rms([-1]) + f"{GAIN} y = Add(n, g)")))
    assert types(result) == ["RMSNormalization", "Add"]


def test_half_precision_with_casts_as_exporters_write_it():
    body = (
        "x32 = Cast<to = 1>(x)"
        + rms([-1]).replace("(x,", "(x32,")
        + "h = Cast<to = 10>(n) g = Constant<value = float16[4] {1,2,3,4}>() y = Mul(g, h)"
    )
    model = unshaped(text(body, inputs="float16[N,3,4,4] x", outputs="float16[] y"))
    assert "RMSNormalization" in types(check(model, 1e-2))


def test_what_only_looks_like_rms_normalisation():
    body = rms([-1], square="h = Tanh(x) q = Mul(h, h)") + "y = Relu(n)"
    assert "RMSNormalization" not in types(check(unshaped(text(body))))


def test_the_standard_operator():
    model = unshaped(text(f"{GAIN} y = RMSNormalization<epsilon = 0.01>(x, g)", 23))
    (node,) = check(model).graph.node
    assert node.domain == CANONICAL_DOMAIN and attributes(node)["epsilon"] == pytest.approx(0.01)


@pytest.mark.parametrize("opset", [13, 20])
def test_onnxruntimes_simplified_layer_normalisation(opset):
    result = check(unshaped(text(f"{GAIN} y = SimplifiedLayerNormalization(x, g)", opset)))
    assert types(result) == ["RMSNormalization"]


@pytest.mark.parametrize("bias", ["", ", g"])
@pytest.mark.parametrize("sum_read", [False, True])
def test_onnxruntimes_skip_simplified_layer_normalisation(bias, sum_read):
    skip = f"com.microsoft.SkipSimplifiedLayerNormalization<epsilon = 0.001>(x, x, g{bias})"
    body = f"{GAIN} n, u, v, s = {skip} y = Mul(n, s)" if sum_read else f"{GAIN} y = {skip}"
    model = unshaped(text(body, inputs="float[N,3,4] x"))
    result = canonicalise(model)
    check_types = ["Add", *["Add"] * bool(bias), "RMSNormalization", *["Mul"] * sum_read]
    assert types(result) == check_types
    if not sum_read:
        check(model)


@pytest.mark.parametrize(("opset", "width"), [(18, 2), (20, 2), (21, 6), (22, 6)])
@pytest.mark.parametrize("shape", ["N,6,4,4", "N,6,H,4", "N,6,H,W", "N,6,5"])
def test_group_normalisation(opset, width, shape):
    held = ",".join(str(v) for v in range(1, width + 1))
    body = f"s = Constant<value = float[{width}] {{{held}}}>() "
    body += "y = GroupNormalization<num_groups = 2, epsilon = 0.01>(x, s, s)"
    found = types(check(unshaped(text(body, opset, inputs=f"float[{shape}] x"))))
    tail = ["Mul", "Add"] if opset > 20 else []
    shapes = ["Shape"] * (shape == "N,6,H,W")
    wanted = ["Reshape", "InstanceNormalization", *shapes, "Reshape", *tail]
    assert [kind for kind in found if kind != "Constant"] == wanted


@pytest.mark.parametrize("axes", ["", "<axes = [2,3]>", "<axes = [1,2,3]>"])
def test_mean_variance_normalisation(axes):
    found = types(check(unshaped(text(f"y = MeanVarianceNormalization{axes}(x)"))))
    if axes:
        assert found == ["LayerNormalization"]
    else:
        assert found == ["ReduceMean", "Sub", "Mul", "ReduceMean", "Add", "Sqrt", "Div"]


@pytest.mark.parametrize(
    "body",
    [
        "z = Constant<value = float {0.5}>() c = Greater(x, z) y = Cast<to = 1>(c)",
        "z = Constant<value = float {0.5}>() c = Less(x, z) n = Not(c) y = Cast<to = 1>(n)",
    ],
)
def test_truth_values_cast_to_numbers_are_choices(body):
    assert types(check(unshaped(text(body))))[-1] == "Where"


def test_a_rectifier_made_of_a_comparison():
    body = "z = Constant<value = float {0}>() c = Greater(x, z) m = Cast<to = 1>(c) y = Mul(x, m)"
    assert types(check(unshaped(text(body)))) == ["Relu"]


def test_a_whole_exponent_gets_the_type_of_its_base():
    result = check(unshaped(text("p = Constant<value = int64 {3}>() y = Pow(x, p)")))
    (stored,) = result.graph.initializer
    assert types(result) == ["Pow"] and stored.data_type == onnx.TensorProto.FLOAT


def test_masks_cast_to_numbers_stay_casts():
    model = text("y = Cast<to = 1>(m)", inputs="bool[N,4] m")
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("y", 1, ["N", 4]))
    assert types(canonicalise(model)) == ["Cast"]
