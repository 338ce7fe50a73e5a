"""`evaluate --layers`: the table of sites and its form as JSON."""

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_models import CHAIN, NODE, arrays, model, spiking, value, write_data, write_model

import onnx2snn
from onnx2snn.cli import run_cli

TITLE = "sites, worst first; saturation and spike rate at T = 4"
HEADER = ["site", "operator", "neurons", "error T=2", "error T=4", "saturated %", "spike rate"]
LAYER = ["site", "op_type", "neurons", "points"]
POINT = ["time_steps", "relative_error", "saturation", "spike_rate"]


def two_sites():
    """Sites act (Relu) and end (Tanh), T = 4."""
    nodes = (*CHAIN[:2], NODE("MatMul", ["r", "w2"], ["m"], "fc2"))
    proto = model((*nodes, NODE("Tanh", ["m"], ["logits"], "end")))
    return onnx2snn.convert(proto, {"image": arrays(32, 1)["image"]}, time_steps=4, tuning=0)


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Run the command line in a folder with a spiking file and data; output and report."""
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "s.onnx", two_sites())
    write_data(tmp_path / "d.npz", **arrays(24))

    def run(options: str) -> tuple[str, dict]:
        assert run_cli(f"evaluate s.onnx --data d.npz --json r.json --force {options}".split()) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        return captured.out, json.loads(Path("r.json").read_text())

    return run


def test_without_the_option_nothing_is_added(call):
    plain, report = call("--at 2,4")
    assert "layers" not in report and "sites" not in plain
    more, longer = call("--at 2,4 --layers")
    assert more.startswith(f"{plain}\n{TITLE}\n")
    assert {key: longer[key] for key in report} == report


def test_the_table_shows_the_numbers_of_the_report(call):
    out, report = call("--at 4,2 --layers")
    header, *rows = out.partition(f"{TITLE}\n")[2].splitlines()
    assert re.split("  +", header) == HEADER
    assert {layer["site"]: layer["neurons"] for layer in report["layers"]} == {
        "act/output": 8,
        "end/output": 3,
    }
    for row, layer in zip(rows, report["layers"], strict=True):
        assert list(layer) == LAYER and all(list(point) == POINT for point in layer["points"])
        assert [point["time_steps"] for point in layer["points"]] == [2, 4]
        first, last = layer["points"]
        site, operator, neurons, *figures = row.split()
        assert [site, operator, int(neurons)] == [layer[key] for key in LAYER[:3]]
        shown = first["relative_error"], *(last[key] for key in POINT[1:])
        assert [float(figure) for figure in figures] == pytest.approx(shown, abs=0.006)
    errors = [layer["points"][-1]["relative_error"] for layer in report["layers"]]
    assert errors == sorted(errors, reverse=True) and min(errors) > 0


def test_batches_change_nothing(call):
    _, whole = call("--layers")
    _, parts = call("--layers --batch-size 5")
    for one, other in zip(whole["layers"], parts["layers"], strict=True):
        assert one["site"] == other["site"] and one["neurons"] == other["neurons"]
        for point, again in zip(one["points"], other["points"], strict=True):
            assert point == pytest.approx(again, rel=1e-5)


def test_a_model_of_fixed_batch_size(call):
    _, whole = call("--layers")
    fixed = two_sites()
    for info in (*fixed.graph.input, *fixed.graph.output):
        info.type.tensor_type.shape.dim[0].dim_value = 1
    write_model(Path("s.onnx"), fixed)
    _, single = call("--layers")
    for one, other in zip(whole["layers"], single["layers"], strict=True):
        assert (one["site"], one["neurons"]) == (other["site"], other["neurons"])
        assert one["points"][-1] == pytest.approx(other["points"][-1], rel=1e-5)


def test_the_site_that_cannot_follow_is_the_first_row(call):
    broken = two_sites()
    for tensor in broken.graph.initializer:
        if tensor.name == "end/output/step_sizes":
            smaller = (onnx.numpy_helper.to_array(tensor) / 50).astype("f")
            tensor.CopyFrom(onnx.numpy_helper.from_array(smaller, tensor.name))
    write_model(Path("s.onnx"), broken)
    out, report = call("--at 4 --layers")
    worst, other = report["layers"]
    assert worst["site"] == "end/output" and other["points"][0]["saturation"] < 25
    assert worst["points"][0]["saturation"] > 80
    assert out.splitlines()[-2].startswith("end/output")


def test_a_site_without_any_signal_is_shown_without_an_error(call):
    muted = NODE("Mul", ["h", "nothing"], ["n"], "muted")
    nodes = (CHAIN[0], muted, *CHAIN[1:], NODE("Relu", ["n"], ["z"], "dead"))
    outputs = [value("logits", "N", 3), value("z", "N", 8)]
    proto = model(nodes, extra={"nothing": np.zeros(8, "f")}.items(), outputs=outputs)
    data = {"image": arrays(32, 1)["image"]}
    settings = {"time_steps": 4, "schedule": "exponential"}
    write_model(Path("s.onnx"), onnx2snn.convert(proto, data, **settings))
    out, report = call("--layers --at 4")
    assert report["layers"][-1]["points"][0]["relative_error"] is None
    assert out.splitlines()[-1].split()[:4] == ["dead/output", "Relu", "8", "-"]


def test_the_ann_may_be_another_file(call):
    write_model(Path("s.onnx"), spiking())
    write_model(Path("m.onnx"), model())
    _, default = call("--at 4 --layers")
    _, named = call("--at 4 --layers --ann m.onnx")
    assert named["layers"] == default["layers"]
