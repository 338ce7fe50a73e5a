"""Spikes, synaptic operations and the energy ratio against counts made by hand."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from oracle import Oracle
from session_models import MODELS, NODE, TIME_STEPS, Feed, Weights, build, feed, spiking

import onnx2snn
from onnx2snn.runtime.energy import Account
from onnx2snn.runtime.session import Point, SpikingSession

BATCH = 3


def point_of(model: onnx.ModelProto, arrays: Feed, time_steps: int) -> Point:
    session = SpikingSession(model, device="cpu", precision="float64")
    return session.simulate(arrays, [time_steps])[0]


def counted(model: onnx.ModelProto, arrays: Feed, time_steps: int) -> dict[str, int]:
    """Spikes per site by the independent interpreter."""
    oracle = Oracle(model)
    oracle.start(arrays)
    for _ in range(time_steps):
        oracle.step()
    return oracle.spikes


@pytest.mark.parametrize("spikes", ["binary", "ternary"])
def test_a_two_layer_mlp(spikes: str) -> None:
    """4 -> 6 -> ReLU -> 5 -> Tanh -> 2: layer one sees the input, the others spikes."""
    w = Weights(1)
    nodes = [
        NODE("Gemm", ["x", w.draw("w1", 4, 6), w.draw("b1", 6)], ["a"]),
        NODE("Relu", ["a"], ["r"], "relu"),
        NODE("Gemm", ["r", w.draw("w2", 6, 5), w.draw("b2", 5)], ["b"]),
        NODE("Tanh", ["b"], ["t"], "tanh"),
        NODE("MatMul", ["t", w.draw("w3", 5, 2)], ["y"]),
    ]
    model = build(nodes, {"x": ["N", 4]}, {"y": ["N", 2]}, w)
    x = np.random.default_rng(1).standard_normal((32, 4)).astype(np.float32)
    model = onnx2snn.convert(model, {"x": x}, time_steps=8, tuning=0, spikes=spikes, bypass="none")
    arrays = {"x": x[:BATCH]}
    account, sites = point_of(model, arrays, 6).account, counted(model, arrays, 6)
    assert account.neurons == BATCH * (6 + 5)
    assert account.input_macs == BATCH * 4 * 6
    assert account.ann_macs == BATCH * (4 * 6 + 6 * 5 + 5 * 2)
    assert account.spikes == sites["relu/output"] + sites["tanh/output"] > 0
    # Every spike reaches all neurons of the next layer.
    assert account.sops == pytest.approx(5 * sites["relu/output"] + 2 * sites["tanh/output"])
    assert account.spike_rate(6) == pytest.approx(account.spikes / (BATCH * 11 * 6))
    energy = 0.9 * account.sops + 4.6 * account.input_macs
    assert account.energy_ratio == pytest.approx(energy / (4.6 * account.ann_macs))


@pytest.mark.parametrize(
    ("join", "width", "of_relu", "of_tanh"),
    [
        ("Add", 5, 2, 2),  # each spike of either reaches both outputs
        ("Concat", 10, 2, 2),
        ("MatMul", 5, 5 + 2, 5 + 2),  # and one row of the other in the product
    ],
)
def test_two_sites_together(join: str, width: int, of_relu: int, of_tanh: int) -> None:
    """4 -> 5 -> ReLU -> 5 -> Tanh; both joined -> 2. The Tanh's own layer costs 5 a spike."""
    w = Weights(1)
    nodes = [
        NODE("MatMul", ["x", w.draw("w1", 4, 5)], ["a"]),
        NODE("Relu", ["a"], ["r"], "relu"),
        NODE("MatMul", ["r", w.draw("w2", 5, 5)], ["b"]),
        NODE("Tanh", ["b"], ["t"], "tanh"),
        NODE(join, ["r", "t"], ["j"], axis=-1) if join == "Concat" else NODE(join, "rt", ["j"]),
        NODE("MatMul", ["j", w.draw("w3", width, 2)], ["y"]),
    ]
    model = build(nodes, {"x": ["N", 5, 4]}, {"y": ["N", 5, 2]}, w)
    x = np.random.default_rng(1).standard_normal((32, 5, 4)).astype(np.float32)
    model = onnx2snn.convert(model, {"x": x}, time_steps=8, tuning=0, bypass="none")
    arrays = {"x": x[:BATCH]}
    account, sites = point_of(model, arrays, 6).account, counted(model, arrays, 6)
    relu, tanh = sites["relu/output"], sites["tanh/output"]
    assert account.sops == pytest.approx((5 + of_relu) * relu + of_tanh * tanh)


@pytest.mark.parametrize("beside", ["h", "a"])
def test_signals_that_pass_by_a_site(beside: str) -> None:
    """3 -> h: 5 -> ReLU -> a: 5 -> Tanh: 5; with what passes by one of them -> 2.

    A site's spikes reach what lies behind the next ones only where they pass by them, and so
    does the input.
    """
    w = Weights(1)
    nodes = [
        NODE("MatMul", ["x", w.draw("w1", 3, 5)], ["h"]),
        NODE("Relu", ["h"], ["r"], "relu"),
        NODE("MatMul", ["r", w.draw("w2", 5, 5)], ["a"]),
        NODE("Tanh", ["a"], ["t"], "tanh"),
        NODE("Add", [beside, "t"], ["j"]),
        NODE("MatMul", ["j", w.draw("w3", 5, 2)], ["y"]),
    ]
    model = build(nodes, {"x": ["N", 3]}, {"y": ["N", 2]}, w)
    x = np.random.default_rng(1).standard_normal((32, 3)).astype(np.float32)
    model = onnx2snn.convert(model, {"x": x}, time_steps=8, tuning=0, bypass="none")
    arrays = {"x": x[:BATCH]}
    account, sites = point_of(model, arrays, 6).account, counted(model, arrays, 6)
    relu, tanh = sites["relu/output"], sites["tanh/output"]
    passed = {"h": (0, 2), "a": (2, 0)}[beside]
    assert account.sops == pytest.approx((5 + passed[0]) * relu + 2 * tanh)
    assert account.input_macs == BATCH * (3 * 5 + 5 * passed[1])


def test_input_beside_spikes_costs_its_share() -> None:
    """3 -> h: 5 -> ReLU: 5; both side by side -> 2: half of the last layer sees the input."""
    w = Weights(1)
    nodes = [
        NODE("MatMul", ["x", w.draw("w1", 3, 5)], ["h"]),
        NODE("Relu", ["h"], ["r"], "relu"),
        NODE("Concat", ["h", "r"], ["j"], axis=-1),
        NODE("MatMul", ["j", w.draw("w2", 10, 2)], ["y"]),
    ]
    model = build(nodes, {"x": ["N", 3]}, {"y": ["N", 2]}, w)
    x = np.random.default_rng(1).standard_normal((32, 3)).astype(np.float32)
    model = onnx2snn.convert(model, {"x": x}, time_steps=8, tuning=0, bypass="none")
    account = point_of(model, {"x": x[:BATCH]}, 6).account
    assert account.input_macs == BATCH * (3 * 5 + 5 * 2)


def test_a_convolution() -> None:
    """Neurons, MACs of both layers; a spike costs the mean fan-out of its feature map."""
    model, arrays = spiking("conv_net"), feed("conv_net", BATCH)
    account, sites = point_of(model, arrays, TIME_STEPS).account, counted(model, arrays, TIME_STEPS)
    first, last = 4 * 2 * 9 * 36, 36 * 5
    # 3x3 pooling is a tree: two maxima per row window, then two per column window.
    pool = 4 * (6 * 3 + 6 * 3 + 3 * 3 + 3 * 3)
    assert account.neurons == BATCH * (4 * 36 + pool)
    assert account.input_macs == BATCH * first
    assert account.ann_macs == BATCH * (first + last)
    # The last site before the Gemm: its 36 neurons per sample feed 5 synapses each.
    final = [name for name in sites if name.startswith("pool/")][-1]
    assert account.sops == pytest.approx(5 * sites[final])
    assert account.spikes == sum(sites.values())


@pytest.mark.parametrize("name", MODELS)
def test_spikes_add_up_over_time_and_samples(name: str) -> None:
    model, arrays = spiking(name), feed(name, BATCH)
    session = SpikingSession(model, device="cpu", precision="float64")
    points = [p.account for p in session.simulate(arrays, range(1, TIME_STEPS + 1))]
    totals = [point.spikes for point in points]
    assert totals == sorted(totals)
    assert totals[0] <= points[0].neurons
    assert len({point.input_macs for point in points}) == 1
    whole = Account(0, 0, 0.0, 0, 0)
    for i in range(BATCH):
        one = {n: a[i : i + 1] for n, a in arrays.items()}
        whole += session.simulate(one, [TIME_STEPS])[0].account
    last = points[-1]
    assert (whole.spikes, whole.neurons, whole.ann_macs) == (
        last.spikes,
        last.neurons,
        last.ann_macs,
    )
    assert whole.input_macs == last.input_macs


def test_an_ann_without_weights_has_no_ratio_but_no_error_either() -> None:
    account = Account(spikes=1, neurons=1, sops=0.0, input_macs=0, ann_macs=0)
    assert account.energy_ratio == 0
    assert Account(0, 0, 0.0, 0, 0).spike_rate(3) == 0
