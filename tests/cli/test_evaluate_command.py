"""`evaluate`: its table, its report as JSON, and that both agree with other means."""

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_models import (
    CHAIN,
    arrays,
    model,
    spiking,
    write_data,
    write_model,
)
from onnx import helper

import onnx2snn

POINT = {
    *("time_steps", "top1", "agreement", "relative_error", "spike_rate"),
    *("spikes_per_neuron", "sops", "energy_ratio"),
}


def evaluated(call, options=""):
    out, err = call(f"evaluate s.onnx --data d.npz --json r.json --force {options}")
    assert err == ""
    return out, json.loads(Path("r.json").read_text())


def test_evaluate_prints_a_table_and_writes_its_numbers(folder, call):
    out, report = evaluated(call, "--at 2,4")
    header, ann, *rows = out.splitlines()
    assert re.split("  +", header) == [
        *("T", "top-1 %", "agreement %", "relative error"),
        *("spike rate", "spikes / neuron", "SOPs", "energy / ANN"),
    ]
    assert ann.split()[0] == "ANN" and [row.split()[0] for row in rows] == ["2", "4"]
    assert set(report) >= {"ann", "points"} and set(report["ann"]) == {"top1"}
    assert [point["time_steps"] for point in report["points"]] == [2, 4]
    assert all(set(point) == POINT for point in report["points"])
    for point, row in zip(report["points"], rows, strict=True):
        assert float(row.split()[2]) == pytest.approx(point["agreement"], abs=0.006)
        assert 0 < point["spike_rate"] < 1 and point["sops"] > 0 and point["energy_ratio"] > 0
        spikes = point["spike_rate"] * point["time_steps"]
        assert point["spikes_per_neuron"] == pytest.approx(spikes)
    assert report["window"] == report["latency"] == 4


def test_evaluate_reports_latency_where_sites_take_turns(folder, call):
    options = "--calibration d.npz --time-steps 4 --tuning 0"
    sigmoid = helper.make_node("Sigmoid", ["r"], ["g"], "gate")
    tail = helper.make_node("MatMul", ["g", "w2"], ["logits"], "fc2")
    write_model(folder / "m.onnx", model((*CHAIN[:2], sigmoid, tail)))
    call(f"convert m.onnx -o w.onnx --windows sequential {options}")
    out, _ = call("evaluate w.onnx --data d.npz --json w.json")
    report = json.loads(Path("w.json").read_text())
    assert report["window"] == 4 and report["latency"] > 4
    title, _, _, *rows = out.splitlines()
    assert title == f"every site fires in 4 of {report['latency']} time steps"
    assert [row.split()[0] for row in rows] == [str(report["latency"])]


def test_evaluate_agrees_with_numpy(folder, call):
    _, report = evaluated(call, "--at 4")
    data = arrays(24)
    [snn] = onnx2snn.SpikingSession("s.onnx").run(None, {"image": data["image"]})
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in model().graph.initializer}
    ann = np.maximum(data["image"] @ stored["w1"] + stored["b1"], 0) @ stored["w2"]
    [point] = report["points"]
    error = np.linalg.norm(snn - ann) / np.linalg.norm(ann)
    assert point["relative_error"] == pytest.approx(error, rel=1e-4)
    classes, expected = snn.argmax(1), ann.argmax(1)
    assert point["agreement"] == pytest.approx(100 * (classes == expected).mean())
    assert point["top1"] == pytest.approx(100 * (classes == data["labels"]).mean())
    assert report["ann"]["top1"] == pytest.approx(100 * (expected == data["labels"]).mean())


def test_evaluate_without_labels(folder, call):
    write_data(folder / "d.npz", image=arrays(24)["image"])
    out, report = evaluated(call)
    assert report["ann"] == {"top1": None}
    assert [point["top1"] for point in report["points"]] == [None]
    assert out.splitlines()[1].split()[1] == "-"


def test_batch_size_changes_nothing_and_limit_does(call):
    _, whole = evaluated(call, "--at 1,4 --batch-size 64")
    _, parts = evaluated(call, "--at 1,4 --batch-size 5")
    assert whole["samples"] == parts["samples"] == 24 and whole["ann"] == parts["ann"]
    for one, other in zip(whole["points"], parts["points"], strict=True):
        assert one == pytest.approx(other, rel=1e-5)
    _, few = evaluated(call, "--at 1,4 --limit 7")
    assert few["samples"] == 7


def test_evaluate_against_the_original_model(call):
    _, default = evaluated(call, "--at 4")
    _, named = evaluated(call, "--at 4 --ann m.onnx")
    assert named["points"][0] == pytest.approx(default["points"][0], rel=1e-4)


def test_evaluate_a_model_of_fixed_batch_size(folder, call):
    fixed = spiking()
    for value in (*fixed.graph.input, *fixed.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    _, open_batch = evaluated(call, "--at 4")
    write_model(folder / "s.onnx", fixed)
    _, one_by_one = evaluated(call, "--at 4")
    assert one_by_one["points"][0] == pytest.approx(open_batch["points"][0], rel=1e-5)
