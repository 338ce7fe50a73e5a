"""If with a condition that folds to a stored one gives way to the branch it takes."""

import numpy as np
import pytest
from onnx import parser
from small_models import relative
from test_canonical import check, run, types

import onnx2snn
from onnx2snn.inspection import inspect_model
from onnx2snn.ops.errors import ModelError

BRANCHES = """
    <then_branch = t () => (float[N,4] r) { k = Constant<value_float = 2.0>() p = Mul(a, k)
    r = Relu(p) }, else_branch = e () => (float[N,4] r) { r = Identity(a) }>
"""


def graph(body, inputs="float[N,4] x"):
    return parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 18]> g ({inputs}) => (float[N,4] y) {{ {body} }}'
    )


@pytest.mark.parametrize(("size", "wanted"), [(4, ["Mul", "Relu"]), (5, [])])
def test_a_condition_on_shapes(size, wanted):
    condition = f"s = Shape<start = 1>(x) n = Constant<value_ints = [{size}]>() e = Equal(s, n)"
    body = f"a = Tanh(x) {condition} c = Squeeze(e) b = If(c) {BRANCHES} y = Sin(b)"
    assert types(check(graph(body))) == ["Tanh", *wanted, "Sin"]


@pytest.mark.parametrize("truth", [0, 1])
def test_a_branch_at_the_output(truth):
    body = f"a = Tanh(x) c = Constant<value = bool {{{truth}}}>() y = If(c) {BRANCHES}"
    result = check(graph(body))
    assert types(result) == ["Tanh", "Mul", "Relu"][: 3 if truth else 1]
    assert [value.name for value in result.graph.output] == ["y"]


def test_branches_within_branches_and_names_in_use():
    inner = "m = Constant<value = bool {1}>() q = If(m) " + BRANCHES + " r = Sin(q)"
    outer = (
        "<then_branch = t () => (float[N,4] r) { r = Identity(a) }, "
        f"else_branch = e () => (float[N,4] r) {{ {inner} }}>"
    )
    body = f"a = Tanh(x) r = Cos(a) c = Constant<value = bool {{0}}>() b = If(c) {outer}"
    result = check(graph(f"{body} y = Add(b, r)"))
    assert sorted(types(result)) == ["Add", "Cos", "Mul", "Relu", "Sin", "Tanh"]


SIGNAL = """a = Tanh(x) s = ReduceSum<keepdims = 0>(a) z = Constant<value_float = 0.0>()
    c = Greater(s, z) b = If(c) """
OPEN = {
    "input": ("float[N,4] x, bool c", f"a = Tanh(x) b = If(c) {BRANCHES} y = Sin(b)"),
    "signal": ("float[N,4] x", f"{SIGNAL} {BRANCHES} y = Sin(b)"),
    "batch": (
        "float[N,4] x",
        f"""a = Tanh(x) s = Shape(x) z = Constant<value_int = 0>() n = Gather(s, z)
        i = Constant<value_int = 3>() c = Equal(n, i) b = If(c) {BRANCHES} y = Sin(b)""",
    ),
}


@pytest.mark.parametrize("kind", OPEN)
def test_a_condition_on_data_is_named_and_computed(kind):
    """The branches capture a signal; the node runs alone, at every step."""
    inputs, body = OPEN[kind]
    model = graph(body, inputs)
    *_, node = inspect_model(model).analog
    assert node.op_type == "If" and "control flow" in node.reason
    rng = np.random.default_rng(0)
    feed = {"x": rng.normal(size=(3, 4)).astype("f")} | (
        {"c": np.array(True)} if "c" in inputs else {}
    )
    spiking = onnx2snn.convert(model, feed, time_steps=32, tuning=0)
    (wanted,) = run(model, feed)
    (found,) = onnx2snn.SpikingSession(spiking, device="cpu").run(None, feed)
    (exported,) = run(onnx2snn.export(spiking), feed)
    assert relative(found, wanted) < 1e-2
    np.testing.assert_allclose(exported, found, atol=1e-5)
    with pytest.raises(ModelError, match=r"node 'b' \(If\).*--precision float32"):
        onnx2snn.export(spiking, precision="float64")
