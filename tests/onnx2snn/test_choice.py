"""Where by a comparison of signals becomes neurons; by a mask it stays linear."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import parser

import onnx2snn
from onnx2snn.inspection import inspect_model

HEAD = "a = Tanh(x) b = Sin(x) c = Neg(a)"


def graph(tail: str, inputs: str = "float[N,8] x, bool[N,8] m") -> onnx.ModelProto:
    return parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        g ({inputs}) => (float[N,8] y)
        <float t = {{0.2}}, float low = {{-1e9}}, float zero = {{0}}>
        {{ {HEAD} {tail} }}"""
    )


CASES = {
    "less": ("p = Less(a, b) y = Where(p, c, x)", ["WhereLess"]),
    "less or equal": ("p = LessOrEqual(a, b) y = Where(p, c, x)", ["WhereLessOrEqual"]),
    "greater": ("p = Greater(a, t) y = Where(p, c, x)", ["WhereLess"]),
    "greater or equal": ("p = GreaterOrEqual(t, a) y = Where(p, c, x)", ["WhereLessOrEqual"]),
    "not": ("p = Less(a, b) q = Not(p) y = Where(q, c, x)", ["WhereLess"]),
    "and": (
        "p = Less(a, b) q = Greater(c, t) r = And(p, q) y = Where(r, b, x)",
        ["WhereLess", "WhereLess"],
    ),
    "or": (
        "p = Less(a, b) q = Greater(c, t) r = Or(p, q) y = Where(r, b, x)",
        ["WhereLess", "WhereLess"],
    ),
    "mask": ("p = Less(a, b) r = And(p, m) y = Where(r, b, x)", ["WhereLess", "Where"]),
    "mask first": ("p = Less(a, b) r = Or(m, p) y = Where(r, b, x)", ["WhereLess", "Where"]),
    "nested": (
        "p = Less(a, b) q = Not(p) n = And(q, m) o = Less(c, t) r = Or(n, o) y = Where(r, b, x)",
        ["WhereLess", "WhereLess", "Where"],
    ),
    "cast": ("p = Less(a, b) f = Cast<to = 1>(p) y = Mul(f, x)", ["WhereLess", "Mul"]),
}


def feed(samples: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "x": rng.normal(size=(samples, 8)).astype(np.float32),
        "m": rng.random((samples, 8)) < 0.5,
    }


@pytest.mark.parametrize("name", CASES)
def test_a_choice_by_signals_is_spiking(name):
    tail, kinds = CASES[name]
    model = graph(tail)
    report = inspect_model(model)
    assert report.counts["analog"] == 0
    found = [node.op_type for node in report.nodes]
    assert [kind for kind in found if kind not in ("Tanh", "Sin", "Neg")] == kinds
    spiking = onnx2snn.convert(model, feed(256, 1), time_steps=32, tuning=0)
    (found,) = onnx2snn.SpikingSession(spiking, device="cpu").run(None, feed(128, 2))
    session = ort.InferenceSession(model.SerializeToString())
    names = {value.name for value in session.get_inputs()}
    wanted = session.run(None, {k: v for k, v in feed(128, 2).items() if k in names})[0]
    # Near ties are decided the other way; all else is close.
    assert np.median(np.abs(found - wanted)) < 0.01
    assert (np.abs(found - wanted) < 0.05).mean() > 0.97
    limit = ort.InferenceSession(spiking.SerializeToString()).run(None, feed(128, 2))[0]
    np.testing.assert_allclose(limit, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("tail", "left"),
    [
        ("p = Equal(a, b) y = Where(p, c, x)", {"Equal", "Where"}),
        ("p = Less(a, b) y = Where(p, low, c)", {"Less", "Where"}),
        ("i = ArgMax<axis = 1>(a) p = Less(i, i) y = Where(p, b, x)", {"ArgMax", "Less", "Where"}),
        ("n = IsNaN(a) y = Where(n, zero, a)", {"IsNaN", "Where"}),
    ],
    ids=["equality", "out of reach", "integers", "another test"],
)
def test_what_neurons_cannot_choose_is_named(tail, left):
    report = inspect_model(graph(tail))
    assert left <= {node.op_type for node in report.nodes}
    assert any(n.op_type == "Where" and "out of the reach" in n.reason for n in report.analog)


@pytest.mark.parametrize("condition", ["m", "p"])
def test_a_mask_chooses_linearly(condition):
    tail = f"p = Greater(x, t) y = Where({condition}, a, b)"
    report = inspect_model(graph(tail))
    (where,) = (node for node in report.nodes if node.op_type == "Where")
    assert where.role == "linear"


def test_a_comparison_that_is_read_elsewhere_stays():
    model = graph("p = Less(a, b) q = Cast<to = 6>(p) y = Where(p, c, x)")
    model.graph.output.append(onnx.helper.make_tensor_value_info("q", 6, ["N", 8]))
    report = inspect_model(model)
    assert {n.op_type: n.role for n in report.nodes}["Less"] == "readout"
    assert report.counts["analog"] == 0


def test_excluded_by_request():
    from onnx2snn.settings import Settings
    from onnx2snn.source import Source, matched_plan

    source = Source.read(graph(CASES["less"][0]))
    matched, _ = matched_plan(source, Settings(exclude=("Where",)))
    assert "Where" in [node.op_type for node in matched.graph.nodes]
