"""Neurons that send the input where it joins spikes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnxruntime import InferenceSession
from passing_models import model, sites

import onnx2snn
from onnx2snn.ops.errors import UsageError

STREAM = "a = MatMul (x, w0) b = Relu (a) c = MatMul (b, w1) d = Add (a, c)"
BLOCK = "e = MatMul (d, w2) f = Relu (e) g = MatMul (f, w3) y = Add (d, g)"


def relays(model_or_body: str, **options: Any) -> int:
    """How many neurons there are that match nothing."""
    found = sites(model_or_body, bypass="none", relays=True, **options)
    return found.count("Input")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"{STREAM} {BLOCK}", 1),
        ("a = MatMul (x, w0) b = Relu (a) y = MatMul (b, w1)", 0),
        (f"{STREAM} e = Relu (d) y = MatMul (e, w2)", 0),
        ("b = Relu (x) d = Add (x, b) y = Identity (d)", 0),
        ("b = Relu (x) d = Sub (b, x) y = MatMul (d, w2)", 1),
        ("b = Relu (x) d = Concat <axis = 0> (x, b) y = MatMul (d, w2)", 1),
        ("b = Relu (x) d = Mul (x, b) y = MatMul (d, w2)", 0),
        (f"{STREAM} h = Add (d, a) y = MatMul (h, w2)", 1),
    ],
    ids=["stream", "chain", "site", "output", "difference", "concat", "product", "twice"],
)
def test_where_the_input_is_sent(body: str, expected: int) -> None:
    assert relays(body) == expected


def converted(**settings: Any) -> tuple[onnx.ModelProto, onnx.ModelProto, np.ndarray[Any, Any]]:
    network = model(f"{STREAM} {BLOCK}")
    x = np.random.default_rng(1).standard_normal((256, 6)).astype("f")
    options = {"time_steps": 64, "tuning": 0, "bypass": "none", **settings}
    return network, onnx2snn.convert(network, {"x": x}, **options), x[:64]


@pytest.mark.parametrize("spikes", ["binary", "ternary"])
def test_neurons_that_send_the_input_come_to_the_same(spikes: str) -> None:
    network, spiking, x = converted(spikes=spikes, input="spikes")
    (ann,) = InferenceSession(network.SerializeToString()).run(None, {"x": x})
    (snn,) = onnx2snn.SpikingSession(spiking, device="cpu").run(None, {"x": x})
    assert np.linalg.norm(snn - ann) <= 0.01 * np.linalg.norm(ann)
    (limit,) = InferenceSession(spiking.SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(limit, ann, 1e-5, 1e-5)


def test_what_joins_spikes_is_not_multiplied() -> None:
    accounts = {}
    for how in ("direct", "spikes"):
        _, spiking, x = converted(time_steps=4, spikes="ternary", input=how)
        session = onnx2snn.SpikingSession(spiking, device="cpu")
        accounts[how] = session.simulate({"x": x}, [4])[0].account
    # Of four products one sees the input, one the stream that begins with it, two see a site.
    shares = {how: a.input_macs / a.ann_macs for how, a in accounts.items()}
    assert shares == {"direct": 0.5, "spikes": 0.25}
    assert accounts["spikes"].neurons == accounts["direct"].neurons * 3 / 2


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"spikes": "ternary", "time_steps": 4}, True),
        ({"spikes": "ternary", "time_steps": 4, "windows": "sequential"}, True),
        ({"spikes": "ternary", "time_steps": 4, "input": "direct"}, False),
        ({"spikes": "ternary", "time_steps": 8}, False),
        ({"time_steps": 4}, False),
        ({"input": "spikes"}, True),
        ({"preset": "paper", "spikes": "ternary", "time_steps": 4}, False),
    ],
    ids=str,
)
def test_what_is_sent_by_default(settings: dict[str, Any], expected: bool) -> None:
    assert onnx2snn.Settings(**settings).matching.relays == expected


@pytest.mark.parametrize("settings", [{"preset": "paper"}, {"dynamics": "if"}], ids=str)
def test_other_neurons_do_not_send_it(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="send its input"):
        onnx2snn.Settings(time_steps=4, input="spikes", **settings)
