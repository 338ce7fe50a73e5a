"""If with a condition that folds to a stored one gives way to the branch it takes."""

import pytest
from onnx import parser
from test_canonical import check, types

from onnx2snn.inspection import inspect_model

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


@pytest.mark.parametrize(
    ("inputs", "body"),
    [
        ("float[N,4] x, bool c", f"a = Tanh(x) b = If(c) {BRANCHES} y = Sin(b)"),
        (
            "float[N,4] x",
            """a = Tanh(x) n = Constant<value_int = 3>() c = Constant<value = bool {1}>()
            b = Loop(n, c, a) <body = t (int64 i, bool p, float[N,4] s) =>
            (bool q, float[N,4] r) { q = Identity(p) r = Relu(s) }> y = Sin(b)""",
        ),
    ],
    ids=["If", "Loop"],
)
def test_control_flow_that_depends_on_data_is_named(inputs, body):
    (node,) = inspect_model(graph(body, inputs)).analog
    assert "control flow" in node.reason
