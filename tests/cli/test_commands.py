"""The commands as a user calls them: files written, tables printed, help."""

import json
from importlib.metadata import version

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
    write_model,
)

import onnx2snn

ROLES = ["spiking", "linear", "product", "shape", "readout", "analog"]


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
        "passing": 0.5,
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


def test_softmax_in_one_site_or_three(folder, call):
    nodes = (*CHAIN[:2], NODE("Softmax", ["r"], ["t"], "shares"))
    nodes += (NODE("MatMul", ["t", "w2"], ["logits"], "fc2"),)
    write_model(folder / "n.onnx", model(nodes))
    for choice, sites in (("fused", 2), ("decomposed", 4)):
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
