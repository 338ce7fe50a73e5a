"""Composite unary functions: one row per function and spelling, and those that are none."""

import numpy as np
import onnx
import pytest
from test_canonical import check, text, types, unshaped

from onnx2snn.canonical import CANONICAL_DOMAIN, canonicalise


def constants(**values):
    return " ".join(
        f"{name} = Constant<value = float {{{value!r}}}>()" for name, value in values.items()
    )


def vectors(**values):
    return " ".join(
        f"{name} = Constant<value = float[1] {{{value!r}}}>()" for name, value in values.items()
    )


GELU = constants(r=2**0.5, one=1.0, half=0.5)
TANH = constants(c=0.044715, k=(2 / np.pi) ** 0.5, one=1.0, half=0.5, three=3.0)
HARD = constants(three=3.0, zero=0.0, six=6.0)

RECOGNISED = [
    ("Gelu", {"approximate": "none"}, [
        GELU + "a = Div(x, r) b = Erf(a) c = Add(b, one) d = Mul(x, c) y = Mul(d, half)",
        GELU + "a = Div(x, r) b = Erf(a) c = Add(one, b) d = Mul(c, x) y = Mul(half, d)",
        GELU + "a = Div(x, r) b = Erf(a) c = Add(b, one) h = Mul(x, half) y = Mul(h, c)",
        GELU + "a = Div(x, r) b = Erf(a) c = Add(b, one) h = Mul(half, c) y = Mul(x, h)",
        constants(i=0.5**0.5, one=1.0, two=2.0)
        + "a = Mul(x, i) b = Erf(a) c = Add(b, one) d = Mul(x, c) y = Div(d, two)",
        vectors(r=2**0.5, one=1.0, half=0.5)
        + "a = Div(x, r) b = Erf(a) c = Add(b, one) d = Mul(x, c) y = Mul(d, half)",
    ]),
    ("Gelu", {"approximate": "tanh"}, [
        TANH + "p = Pow(x, three) q = Mul(c, p) s = Add(x, q) t = Mul(k, s) u = Tanh(t)"
        "v = Add(one, u) w = Mul(x, v) y = Mul(half, w)",
        TANH + "x2 = Mul(x, x) p = Mul(x2, x) q = Mul(p, c) s = Add(q, x) t = Mul(s, k)"
        "u = Tanh(t) v = Add(u, one) w = Mul(v, half) y = Mul(w, x)",
        TANH + "x2 = Mul(x, x) q = Mul(x2, c) q1 = Add(q, one) s = Mul(x, q1) t = Mul(s, k)"
        "u = Tanh(t) v = Add(u, one) h = Mul(x, half) y = Mul(h, v)",
    ]),
    ("Swish", {"alpha": 1.0}, [
        "s = Sigmoid(x) y = Mul(x, s)",
        "s = Sigmoid(x) y = Mul(s, x)",
        constants(one=1.0) + "n = Neg(x) e = Exp(n) d = Add(e, one) y = Div(x, d)",
        constants(one=1.0) + "n = Neg(x) e = Exp(n) d = Add(one, e) r = Reciprocal(d)"
        "y = Mul(r, x)",
    ]),
    ("Swish", {"alpha": 1.702}, [
        constants(k=1.702) + "a = Mul(x, k) s = Sigmoid(a) y = Mul(x, s)",
        constants(k=1.702) + "a = Mul(k, x) s = Sigmoid(a) y = Mul(s, x)",
    ]),
    ("HardSwish", {}, [
        HARD + "a = Add(x, three) b = Clip(a, zero, six) m = Mul(x, b) y = Div(m, six)",
        HARD + "a = Add(three, x) b = Clip(a, zero, six) d = Div(b, six) y = Mul(d, x)",
        "h = HardSigmoid<alpha = 0.16666667, beta = 0.5>(x) y = Mul(x, h)",
        HARD + "a = Add(x, three) b = Relu(a) c = Min(b, six) d = Mul(x, c) y = Div(d, six)",
    ]),
    ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, [
        HARD + "a = Add(x, three) b = Clip(a, zero, six) y = Div(b, six)",
        HARD + "a = Add(x, three) b = Max(a, zero) c = Min(six, b) y = Div(c, six)",
    ]),
    ("Mish", {}, [
        "s = Softplus(x) t = Tanh(s) y = Mul(x, t)",
        constants(one=1.0) + "e = Exp(x) a = Add(e, one) s = Log(a) t = Tanh(s) y = Mul(t, x)",
    ]),
    ("Clip", {}, [
        HARD + "a = Max(x, zero) y = Min(a, six)",
        HARD + "a = Min(six, x) y = Max(zero, a)",
        HARD + "a = Relu(x) y = Min(a, six)",
        HARD + "a = Relu(x) y = Clip(a, zero, six)",
        constants(low=-1.0) + "y = Max(x, low)",
        constants(high=500.0) + "a = Relu(x) y = Min(a, high)",
    ]),
    ("Shrink", {"lambd": 0.7, "bias": 0.0}, [
        constants(l=0.7, m=-0.7, zero=0.0) + "a = Greater(x, l) b = Less(x, m) c = Or(a, b)"
        "y = Where(c, x, zero)",
        constants(l=0.7, zero=0.0) + "a = Abs(x) c = LessOrEqual(a, l) y = Where(c, zero, x)",
    ]),
    ("Shrink", {"lambd": 0.7, "bias": 0.7}, [
        constants(l=0.7) + "s = Sign(x) a = Abs(x) b = Sub(a, l) c = Relu(b) y = Mul(s, c)",
    ]),
    ("Relu", {}, [
        HARD + "y = Max(x, zero)",
        HARD + "y = Max(zero, x)",
        HARD + "y = Clip(x, zero)",
        HARD + "g = Greater(x, zero) y = Where(g, x, zero)",
    ]),
    ("LeakyRelu", {"alpha": 0.2}, [
        constants(a=0.2) + "m = Mul(x, a) y = Max(x, m)",
        constants(a=0.2) + "m = Mul(a, x) y = Max(m, x)",
        constants(a=0.2, z=0.0) + "g = Greater(x, z) m = Mul(x, a) y = Where(g, x, m)",
        constants(a=0.2, z=0.0) + "g = Less(x, z) m = Mul(x, a) y = Where(g, m, x)",
        constants(a=0.2) + "y = PRelu(x, a)",
    ]),
    ("Sigmoid", {}, [
        constants(one=1.0) + "n = Neg(x) e = Exp(n) d = Add(one, e) y = Div(one, d)",
        constants(one=1.0) + "n = Neg(x) e = Exp(n) d = Add(e, one) y = Reciprocal(d)",
        constants(h=0.5, one=1.0) + "a = Mul(x, h) t = Tanh(a) b = Add(t, one) y = Mul(b, h)",
    ]),
    ("Softplus", {}, [constants(one=1.0) + "e = Exp(x) a = Add(one, e) y = Log(a)"]),
    ("Softsign", {}, [
        constants(one=1.0) + "m = Abs(x) a = Add(one, m) y = Div(x, a)",
        constants(one=1.0) + "m = Abs(x) a = Add(m, one) r = Reciprocal(a) y = Mul(r, x)",
    ]),
    ("Tanh", {}, ["n = Neg(x) p = Exp(x) q = Exp(n) s = Sub(p, q) t = Add(p, q) y = Div(s, t)"]),
    ("Abs", {}, ["n = Neg(x) y = Max(x, n)"]),
    ("Elu", {"alpha": 1.0}, [
        constants(one=1.0, z=0.0)
        + "g = Greater(x, z) e = Exp(x) m = Sub(e, one) y = Where(g, x, m)"
    ]),
]  # fmt: skip
ROWS = [(kind, wanted, body) for kind, wanted, bodies in RECOGNISED for body in bodies]


@pytest.mark.parametrize(("kind", "wanted", "body"), ROWS)
def test_composites_become_one_node(kind, wanted, body):
    [node] = check(unshaped(text(body))).graph.node
    assert node.op_type == kind
    assert node.domain == (CANONICAL_DOMAIN if kind == "Swish" else "")
    given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    for name, value in wanted.items():
        if isinstance(value, str):
            assert given[name].decode() == value
        else:
            assert given[name] == pytest.approx(value, abs=2e-6)


NEAR_MISSES = [
    ("x*sigmoid(z)", "z = Relu(x) q = Neg(z) s = Sigmoid(q) y = Mul(x, s)"),
    ("gelu with a wrong constant",
     constants(r=1.41, one=1.0, half=0.5)
     + "a = Div(x, r) b = Erf(a) c = Add(b, one) d = Mul(x, c) y = Mul(d, half)"),
    ("gelu without its half",
     constants(r=2**0.5, one=1.0) + "a = Div(x, r) b = Erf(a) c = Add(b, one) y = Mul(x, c)"),
    ("tanh gelu with a wrong cubic", constants(c=0.05, k=(2 / np.pi) ** 0.5, one=1.0, half=0.5)
     + "x2 = Mul(x, x) p = Mul(x2, x) q = Mul(p, c) s = Add(q, x) t = Mul(s, k)"
     "u = Tanh(t) v = Add(u, one) w = Mul(v, half) y = Mul(w, x)"),
    ("hard swish of 4", constants(three=4.0, zero=0.0, six=6.0)
     + "a = Add(x, three) b = Clip(a, zero, six) m = Mul(x, b) y = Div(m, six)"),
    ("a constant per channel",
     "k = Constant<value=float[3,1,1]{1,2,3}>() m = Mul(x, k) s = Sigmoid(m) y = Mul(x, s)"),
    ("an affine function", constants(a=2.0, b=3.0) + "m = Mul(x, a) y = Add(m, b)"),
    ("the identity", constants(h=0.5) + "m = Mul(x, h) n = Mul(x, h) y = Add(m, n)"),
    ("a square", "y = Mul(x, x)"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "body"), NEAR_MISSES)
def test_near_misses_are_left_alone(what, body):
    model = unshaped(text(body))
    result = check(model)
    expected = [n.op_type for n in model.graph.node if n.op_type != "Constant"]
    assert types(result) == expected


def test_two_inputs_are_not_one_function():
    model = text("s = Sigmoid(z) y = Mul(x, s)", 20, "float[N,3] x, float[N,3] z", "float[N,3] y")
    assert types(check(model)) == ["Sigmoid", "Mul"]


def test_an_interior_tensor_used_elsewhere_keeps_the_parts():
    model = unshaped(text("s = Sigmoid(x) m = Mul(x, s) y = Add(m, s)"))
    assert types(check(model)) == ["Sigmoid", "Mul", "Add"]


def test_a_scale_behind_a_known_function_stays():
    body = constants(k=0.3) + "s = Sigmoid(x) m = Mul(x, s) y = Mul(m, k)"
    assert types(check(unshaped(text(body)))) == ["Swish", "Mul"]


def test_a_constant_that_raises_the_rank_is_kept():
    body = (
        "k = Constant<value=float[1,1,1,1,1]{1.702}>() m = Mul(x, k) s = Sigmoid(m) y = Mul(x, s)"
    )
    assert types(check(unshaped(text(body)))) == ["Mul", "Sigmoid", "Mul"]


def test_the_last_node_gives_its_name():
    body = "[gate] s = Sigmoid(x) [block_act] y = Mul(x, s)"
    assert [n.name for n in canonicalise(unshaped(text(body))).graph.node] == ["block_act"]


def test_half_precision_tells_the_two_gelu_apart():
    body = constants(one=1.0, half=0.5, r=2**0.5) + (
        "o = Cast<to=10>(one) h = Cast<to=10>(half) k = Cast<to=10>(r)"
        "a = Div(x, k) b = Erf(a) c = Add(b, o) d = Mul(x, c) y = Mul(d, h)"
    )
    model = unshaped(text(body, 20, "float16[N,8] x", "float16[] y"))
    [node] = canonicalise(model).graph.node
    assert node.op_type == "Gelu" and node.attribute[0].s == b"none"


def test_bounds_of_clip_are_scalars(capsys):
    body = HARD + "a = Max(x, zero) y = Min(a, six)"
    result = check(unshaped(text(body)))
    assert [list(t.dims) for t in result.graph.initializer] == [[], []]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("opset", "axis"), [(9, 3), (11, 3), (13, 3), (13, -1)])
def test_softmax_over_the_last_axis_has_one_form(opset, axis):
    body = f"y = Softmax<axis={axis}>(x)"
    assert types(check(unshaped(text(body, opset)))) == ["Softmax"]
