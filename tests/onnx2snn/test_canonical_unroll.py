"""Loops, scans, recurrent layers and sequences of known length, without any of them.

The oracle is onnxruntime on the original model.
"""

import numpy as np
import pytest
from onnx import TensorProto, helper, parser
from onnx.reference import ReferenceEvaluator
from small_models import NODE, model, relative, samples, value
from test_canonical import check, run, types

import onnx2snn
from onnx2snn.canonical import canonicalise
from onnx2snn.inspection import inspect_model

HEAD = """a = Tanh(x) n = Constant<value_int = 3>() c = Constant<value = bool {1}>()
    half = Constant<value_float = 0.5>() none = Constant<value_int = 0>()
    last = Constant<value_int = 1>() """
STATE = "int64 i, bool p, float[N,4] s"
LOOPS = {
    "carried": f"""b = Loop(n, c, a) <body = t ({STATE}) => (bool q, float[N,4] r)
        {{ q = Identity(p) u = Mul(s, half) r = Relu(u) }}> y = Sin(b)""",
    "stacked": f"""b, z = Loop(n, , a) <body = t ({STATE}) => (bool q, float[N,4] r, float[N,4] w)
        {{ q = Identity(p) f = Cast<to = 1>(i) u = Add(s, f) r = Sin(u) w = Mul(u, a) }}>
        k = ReduceMean<keepdims = 0>(z, places) places = Constant<value_ints = [0]>()
        y = Add(b, k)""",
    "numbers of its own": f"""b = Loop(n, c, a) <body = t ({STATE}) => (bool q, float[N,4] r)
        {{ q = Identity(p) k = Constant<value = float {{0.7}}>() u = Mul(s, k) f = Cast<to = 9>(i)
        r = If(f) <then_branch = g () => (float[N,4] v)
        {{ o = Constant<value_float = 0.3>() w = Mul(u, o) v = Add(w, k) }},
        else_branch = h () => (float[N,4] v) {{ o = Constant<value_float = 0.1>() v = Sub(u, o) }}>
        }}> y = Sin(b)""",
    "not once": f"""b = Loop(none, c, a) <body = t ({STATE}) => (bool q, float[N,4] r)
        {{ q = Identity(p) r = Relu(s) }}> y = Sin(b)""",
    "of a branch": f"""b = Loop(n, c, a) <body = t ({STATE}) => (bool q, float[N,4] r)
        {{ q = Identity(p) f = Cast<to = 9>(i) r = If(f)
        <then_branch = g () => (float[N,4] v) {{ v = Relu(s) }},
        else_branch = h () => (float[N,4] v) {{ v = Mul(s, half) }}> }}> y = Sin(b)""",
    "of a sequence": """e = SequenceEmpty()
        m = Loop(n, c, e) <body = t (int64 i, bool p, seq(float[N,4]) s)
        => (bool q, seq(float[N,4]) r) { q = Identity(p) f = Cast<to = 1>(i) v = Add(a, f)
        w = Tanh(v) r = SequenceInsert(s, w) }> k = ConcatFromSequence<axis = 0, new_axis = 1>(m)
        y = ReduceMean<keepdims = 0>(k, places) places = Constant<value_ints = [0]>()""",
}
SCANS = {
    "forward": ("", "v = Identity(t)"),
    "backward": ("scan_input_directions = [1],", "v = Identity(t)"),
    "both ends": ("scan_input_directions = [1], scan_output_directions = [1],", "v = Identity(t)"),
    "other axes": (
        "scan_input_axes = [1], scan_output_axes = [1],",
        "v = Transpose<perm=[1,0]>(t)",
    ),
}
SEQUENCES = {
    "constructed": "s = SequenceConstruct(a, x) y = SequenceAt(s, last)",
    "joined": """s = SequenceConstruct(a, x) k = ConcatFromSequence<axis = 1>(s)
        y = Slice(k, from, to, to2) from = Constant<value_ints = [2]>()
        to = Constant<value_ints = [6]>() to2 = Constant<value_ints = [1]>()""",
    "split": """s = SplitToSequence<axis = 1>(a, two) two = Constant<value_int = 2>()
        l = SequenceAt(s, none) r = SequenceAt(s, last) y = Concat<axis = 1>(r, l)""",
    "unbound": """s = SplitToSequence<axis = 1, keepdims = 0>(a) l = SequenceAt(s, last)
        q = SequenceLength(s) f = Cast<to = 1>(q) m = Mul(l, f) k = Unsqueeze(m, one)
        one = Constant<value_ints = [1]>() y = Add(k, a)""",
    "edited": """s = SequenceConstruct(a, x) s2 = SequenceInsert(s, x, none)
        s3 = SequenceErase(s2, last) y = SequenceAt(s3, none)""",
}


def graph(body, inputs="float[N,4] x"):
    return parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 18]> g ({inputs}) => (float[N,4] y) {{ {body} }}'
    )


@pytest.mark.parametrize("kind", LOOPS)
def test_loops_of_known_length(kind):
    found = types(check(graph(HEAD + LOOPS[kind])))
    assert not {"Loop", "If", "Identity"} & set(found) and "Tanh" in found


@pytest.mark.parametrize("kind", SCANS)
def test_scans_of_known_length(kind):
    attributes, turned = SCANS[kind]
    body = f"""t = Tanh(x) {turned} z = Constant<value_ints = [0]>()
        h = ReduceSum<keepdims = 0>(t, z)
        e, y = Scan<num_scan_inputs = 1, {attributes} body = b (float[4] s, float[4] k)
        => (float[4] o, float[4] w) {{ u = Add(s, k) o = Tanh(u) w = Mul(o, k) }}>(h, v)"""
    assert "Scan" not in types(check(graph(body, "float[4,4] x")))


@pytest.mark.parametrize("kind", SEQUENCES)
def test_sequences_of_known_members(kind):
    found = types(check(graph(HEAD + SEQUENCES[kind])))
    assert not [one for one in found if "Sequence" in one]


def test_a_loop_that_stops_on_data_is_named():
    body = f"""b = Loop(n, c, a) <body = t ({STATE}) => (bool q, float[N,4] r)
        {{ r = Relu(s) m = ReduceSum<keepdims = 0>(r) q = Greater(m, half) }}> y = Sin(b)"""
    (node,) = inspect_model(graph(HEAD + body)).analog
    assert node.op_type == "Loop" and "control flow" in node.reason


GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
INWARD, WIDTH, STEPS = 3, 4, 5
TURNED = [1, 0, 2]


def recurrent(kind, steps=STEPS, states=False, bias=True, **attributes):
    """Samples of shape [N, steps, 3] through one recurrent node, all outputs with N in front."""
    ways = 2 if attributes.get("direction") == "bidirectional" else 1
    rows = GATES[kind] * WIDTH
    stored = {
        "W": 0.6 * samples(ways, rows, INWARD, seed=1),
        "R": 0.6 * samples(ways, rows, WIDTH, seed=2),
        "B": 0.5 * samples(ways, 2 * rows, seed=3),
    }
    ends = ["H", "C"][: 2 if kind == "LSTM" else 1]
    starts = [f"{end}0" for end in ends] if states else []
    orders = {"Y": [2, 0, 1, 3]}
    operands = ["X", "W", "R", "B" if bias else "", *(["", *starts] if states else [])]
    nodes = [NODE("Transpose", [f"{n}_in"], [n], f"turn_{n}", perm=TURNED) for n in ("X", *starts)]
    nodes.append(NODE(kind, operands, ["Y", *ends], "cell", hidden_size=WIDTH, **attributes))
    for n in ("Y", *ends):
        turned = orders.get(n, TURNED)
        nodes.append(NODE("Transpose", [n], [f"{n}_out"], f"turn_{n}", perm=turned))
    inputs = [value("X_in", "N", steps, INWARD)]
    inputs += [value(f"{n}_in", "N", ways, WIDTH) for n in starts]
    outputs = [open_value(f"{n}_out") for n in ("Y", *ends)]
    return model(nodes, inputs, outputs, **stored)


def open_value(name):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


CELLS = {
    "rnn": ("RNN", {}),
    "rnn of relu, backward": ("RNN", {"direction": "reverse", "activations": ["Relu"]}),
    "gru": ("GRU", {}),
    "gru, reset behind": ("GRU", {"linear_before_reset": 1}),
    "gru, reset behind, states": ("GRU", {"linear_before_reset": 1, "states": True}),
    "gru, both ways, states": ("GRU", {"direction": "bidirectional", "states": True}),
    "lstm": ("LSTM", {}),
    "lstm, states": ("LSTM", {"states": True}),
    "lstm, both ways, no bias": ("LSTM", {"direction": "bidirectional", "bias": False}),
}


@pytest.mark.parametrize("name", CELLS)
def test_recurrent_layers_are_written_out(name):
    kind, attributes = CELLS[name]
    made = recurrent(kind, **attributes)
    assert kind not in types(check(made)) and inspect_model(made).counts["analog"] == 0


@pytest.mark.parametrize("kind", GATES)
def test_recurrent_layers_spike(kind):
    made, errors = recurrent(kind), []
    feed = {"X_in": samples(64, STEPS, INWARD, seed=5)}
    test = {"X_in": samples(40, STEPS, INWARD, seed=6)}
    wanted = run(made, test)[0]
    for steps in (8, 32):
        spiking = onnx2snn.convert(made, feed, time_steps=steps, tuning=0, strict=True)
        found = onnx2snn.SpikingSession(spiking, device="cpu").run(None, test)[0]
        errors.append(relative(found, wanted))
    assert errors[1] < 0.6 * errors[0] < 0.1


def test_batches_in_front():
    """Layout 1, which onnxruntime lacks: the oracle is onnx's own reference."""
    stored = {"W": samples(1, 4 * WIDTH, INWARD, seed=1), "R": samples(1, 4 * WIDTH, WIDTH, seed=2)}
    ends = ["y", "h", "c"]
    cell = NODE("LSTM", ["x", "W", "R"], ends, "cell", hidden_size=WIDTH, layout=1)
    outputs = [open_value(name) for name in ends]
    made = model([cell], [value("x", "N", STEPS, INWARD)], outputs, **stored)
    feed = {"x": samples(2, STEPS, INWARD)}
    expected = ReferenceEvaluator(made).run(None, feed)
    for found, wanted in zip(run(canonicalise(made), feed), expected, strict=True):
        np.testing.assert_allclose(found.reshape(wanted.shape), wanted, atol=1e-5)


@pytest.mark.parametrize("attributes", [{"steps": "L"}, {"clip": 1.0}, {"steps": 400}])
def test_what_is_not_written_out_is_named(attributes):
    made = recurrent("LSTM", **attributes)
    (node,) = inspect_model(made).analog
    assert node.op_type == "LSTM" and node.reason.startswith("recurrent")
