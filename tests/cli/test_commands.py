"""The commands as a user calls them: files written, tables printed, reports, progress."""

import json
import re
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_models import (
    CHAIN,
    NODE,
    arrays,
    model,
    onnx2snn_process,
    partly_analog,
    spiking,
    write_data,
    write_model,
)
from onnx import helper

import onnx2snn
from onnx2snn.cli import run_cli

ROLES = ["spiking", "linear", "product", "shape", "readout", "analog"]
POINT = {
    *("time_steps", "top1", "agreement", "relative_error", "spike_rate"),
    *("spikes_per_neuron", "sops", "energy_ratio"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with a model, its spiking file (T = 4) and data."""
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "m.onnx", model())
    write_model(tmp_path / "s.onnx", spiking())
    write_data(tmp_path / "d.npz", **arrays(24))
    return tmp_path


@pytest.fixture
def call(folder, capsys):
    """Run the command line in the folder; its standard output and error."""

    def run(command: str, status: int = 0) -> tuple[str, str]:
        assert run_cli(command.split()) == status
        captured = capsys.readouterr()
        return captured.out, captured.err

    return run


def attributes(path):
    """Attributes of the first spiking node."""
    node = next(n for n in onnx.load(path).graph.node if n.domain == "onnx2snn")
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def total(out):
    """Node counts of the coverage table's last line."""
    line = next(line for line in out.splitlines() if line.startswith("total"))
    return dict(zip(ROLES, map(int, line.split()[1:]), strict=True))


def test_convert_with_nothing_but_the_model(folder, call):
    out, err = call("convert m.onnx")
    assert sorted(p.name for p in folder.iterdir()) == ["d.npz", "m.onnx", "m.snn.onnx", "s.onnx"]
    [line] = err.splitlines()
    assert line.startswith("warning: ") and "accuracy" in line and "--calibration" in line
    assert out.splitlines()[0].split() == ["operator", *ROLES]
    assert total(out) == {**dict.fromkeys(ROLES, 0), "spiking": 1, "linear": 2}
    assert "m.snn.onnx" in out.splitlines()[-1]
    session = onnx2snn.SpikingSession("m.snn.onnx")
    assert session.time_steps == 32
    assert json.loads(session.metadata["onnx2snn.calibration"])["synthetic"] is True


def test_convert_with_data_says_nothing_on_standard_error(folder, call):
    _, err = call("convert m.onnx --calibration d.npz -o out.onnx --time-steps 6")
    assert err == ""
    session = onnx2snn.SpikingSession("out.onnx")
    assert session.time_steps == 6
    summary = json.loads(session.metadata["onnx2snn.calibration"])
    assert summary["samples"] == 24 and summary["synthetic"] is False
    assert attributes("out.onnx") == {
        "dynamics": b"signgd",
        "spikes": b"binary",
        "schedule": b"calibrated",
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--schedule exponential", 0.15 * 0.95 ** np.arange(4)),
        ("--schedule exponential --step-size 0.5 --decay 0.8", 0.5 * 0.8 ** np.arange(4)),
        ("--schedule inverse", 1 / np.arange(2, 6)),
        ("--schedule inverse --step-size 2", 2 / np.arange(2, 6)),
        ("--schedule constant --step-size 0.25", np.full(4, 0.25)),
    ],
)
def test_closed_form_schedules_are_written(folder, call, options, expected):
    call(f"convert m.onnx --calibration d.npz -o out.onnx --time-steps 4 {options}")
    tensors = {t.name: t for t in onnx.load("out.onnx").graph.initializer}
    written = onnx.numpy_helper.to_array(tensors["act/output/step_sizes"])
    np.testing.assert_allclose(written, expected, rtol=1e-6)
    assert attributes("out.onnx")["schedule"].decode() == options.split()[1]


def test_ternary_spikes(folder, call):
    call("convert m.onnx --calibration d.npz -o out.onnx --time-steps 4 --spikes ternary")
    assert attributes("out.onnx")["spikes"] == b"ternary"


def test_layer_norm_as_two_sites_or_one(folder, call):
    node = NODE("LayerNormalization", ["h", "b1"], ["r"], "norm")
    write_model(folder / "n.onnx", model((CHAIN[0], node, CHAIN[2])))
    for choice, sites in (("decomposed", 2), ("fused", 1)):
        name = f"{choice}.onnx"
        options = f"--time-steps 4 --layer-norm {choice}"
        call(f"convert n.onnx --calibration d.npz -o {name} {options}")
        assert attributes(name)["sites"].decode() == choice
        assert len(onnx2snn.SpikingSession(name).plan.sites) == sites


def test_softmax_in_one_site_or_two(folder, call):
    nodes = (*CHAIN[:2], NODE("Softmax", ["r"], ["t"], "shares"))
    nodes += (NODE("MatMul", ["t", "w2"], ["logits"], "fc2"),)
    write_model(folder / "n.onnx", model(nodes))
    for choice, sites in (("fused", 2), ("decomposed", 3)):
        name = f"{choice}.onnx"
        call(f"convert n.onnx --calibration d.npz -o {name} --time-steps 4 --softmax {choice}")
        assert len(onnx2snn.SpikingSession(name).plan.sites) == sites


@pytest.mark.parametrize("pattern", ["second", "Tan*", "Tanh", "sec*"])
def test_exclude_by_name_and_by_operator(folder, call, pattern):
    nodes = (*CHAIN[:2], NODE("Tanh", ["r"], ["t"], "second"))
    nodes += (NODE("MatMul", ["t", "w2"], ["logits"], "fc2"),)
    write_model(folder / "n.onnx", model(nodes))
    out, _ = call(f"convert n.onnx --calibration d.npz -o out.onnx --exclude {pattern}")
    assert total(out)["spiking"] == 1 and total(out)["analog"] == 1
    assert "analog: second (Tanh): excluded by request" in out
    call(f"convert n.onnx --calibration d.npz -o strict.onnx --strict --exclude {pattern}", 1)


def test_strict_passes_where_nothing_is_analog(call):
    call("convert m.onnx --calibration d.npz -o out.onnx --time-steps 4 --strict")


def test_force_replaces_an_output(folder, call):
    (folder / "out.onnx").write_bytes(b"old")
    call("convert m.onnx --calibration d.npz -o out.onnx --time-steps 4", 2)
    call("convert m.onnx --calibration d.npz -o out.onnx --time-steps 4 --force")
    assert onnx2snn.SpikingSession("out.onnx").time_steps == 4


def test_run_writes_the_outputs_by_name(call):
    out, err = call("run s.onnx --input d.npz --output y.npz")
    written = np.load("y.npz")
    assert written.files == ["logits"] and written["logits"].shape == (24, 3)
    assert "logits: shape [24, 3]" in out and "wrote y.npz" in out and err == ""
    session = onnx2snn.SpikingSession("s.onnx", device="cpu")
    [expected] = session.run(None, {"image": arrays(24)["image"]})
    np.testing.assert_array_equal(written["logits"], expected)


def test_run_at_several_steps_and_at_fewer(call):
    call("run s.onnx --input d.npz --output at.npz --at 4,1,2,2")
    stacked = np.load("at.npz")["logits"]
    assert stacked.shape == (3, 24, 3)
    for row, steps in zip(stacked, (1, 2, 4), strict=True):
        call(f"run s.onnx --input d.npz --output y{steps}.npz --time-steps {steps}")
        np.testing.assert_allclose(np.load(f"y{steps}.npz")["logits"], row, atol=1e-6)
    call("run s.onnx --input d.npz --output one.npz --at 2")
    assert np.load("one.npz")["logits"].shape == (1, 24, 3)


def test_run_in_double_precision(call):
    call("run s.onnx --input d.npz --output y.npz --precision float64 --device cpu")
    assert np.load("y.npz")["logits"].dtype == np.float64


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


@pytest.mark.parametrize("content", [model, partly_analog])
def test_inspect_counts_the_same_before_and_after(folder, call, content):
    write_model(folder / "m.onnx", content())
    call("convert m.onnx --calibration d.npz -o out.onnx --time-steps 4")
    reports = {}
    for name in ("m", "out"):
        out, err = call(f"inspect {name}.onnx --json {name}.json")
        report = json.loads((folder / f"{name}.json").read_text())
        assert err == "" and total(out) == report["coverage"]
        assert list(report["coverage"]) == ROLES
        assert all(set(n) == {"name", "op_type", "role", "reason"} for n in report["nodes"])
        assert all(bool(n["reason"]) == (n["role"] == "analog") for n in report["nodes"])
        reports[name] = report
    assert reports["m"] == reports["out"]


@pytest.mark.parametrize("command", ["", "convert", "run", "evaluate", "inspect", "export"])
def test_help(call, command):
    for option in ("--help", "-h"):
        out, err = call(f"{command} {option}")
        assert "Usage: onnx2snn" in out and err == ""


def test_no_command_shows_the_help(call):
    assert call("") == call("--help")


def test_version(call):
    out, _ = call("--version")
    assert version("onnx2snn") in out


def test_the_process_is_quiet_where_there_is_no_terminal(folder):
    done = onnx2snn_process(*["convert", "m.onnx", "--calibration", "d.npz", "-o", "out.onnx"])
    assert done.returncode == 0 and done.stderr == "" and "\r" not in done.stdout
    done = onnx2snn_process(*["evaluate", "out.onnx", "--data", "d.npz"])
    assert done.returncode == 0 and done.stderr == ""
