"""`onnx2snn trace`: one neuron's columns against its own equations."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from nets import average_net, conv_net, resmlp

import onnx2snn
from onnx2snn.cli import run_cli
from onnx2snn.trace import trace

KINDS: list[dict[str, Any]] = [
    {"schedule": "exponential", "bypass": "none"},
    {"schedule": "exponential", "bypass": "none", "spikes": "ternary"},
    {"preset": "paper"},
    {"dynamics": "if", "membrane": 0.25},
    {"dynamics": "lif", "tau": 4.0},
]
TIME_STEPS = 12


@pytest.mark.parametrize("given", KINDS)
def test_the_columns_obey_the_equations(given: dict[str, Any]) -> None:
    net = average_net()
    x = {"x": net.rng.standard_normal((8, *net.shape)).astype(np.float32)}
    snn = onnx2snn.convert(net.model(), x, time_steps=TIME_STEPS, **given)
    session = onnx2snn.SpikingSession(snn, device="cpu", precision="float64")
    site = [step.site.name for step in session.plan.sites][-1]
    found = trace(session, x, site, (3,), sample=2)
    parameters = session.parameters[site]
    eta = parameters.step_sizes.expand(TIME_STEPS, *parameters.step_sizes.shape[1:])
    v, total, w = found.initial, 0, given.get("membrane", 0.0)
    mean_before = 0.0
    for t, moment in enumerate(found.moments, start=1):
        own = eta[t - 1].reshape(-1)
        size = float(own[3] if len(own) > 1 else own[0])
        assert moment.target == pytest.approx(max(moment.inputs[0], 0.0))
        if given.get("dynamics") == "if":
            theta, current = size * t, t * moment.inputs[0] - mean_before
            mean_before = t * moment.inputs[0]
            w += current / theta
            assert moment.membrane == pytest.approx(w, abs=1e-9)
            assert moment.spike == (w >= 1)
            w -= moment.spike
            total += moment.spike
            assert moment.estimate == pytest.approx(theta * total / t)
        elif "dynamics" not in given:
            assert moment.membrane is None
            sign = moment.spike if given.get("spikes") == "ternary" else 2 * moment.spike - 1
            assert moment.estimate == pytest.approx(v - size * sign)
            if given.get("spikes") != "ternary":
                assert moment.spike == (v >= moment.target)
        else:
            assert moment.membrane is not None and moment.spike == (moment.membrane >= 1)
        v = moment.estimate


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = resmlp("Relu")
    onnx.save(net.model(), tmp_path / "net.onnx")
    np.savez(tmp_path / "x.npz", x=net.rng.standard_normal((3, *net.shape)).astype(np.float32))
    path, data = str(tmp_path / "net.snn.onnx"), str(tmp_path / "x.npz")
    convert = ["convert", str(tmp_path / "net.onnx"), "-o", path, "--calibration", data]
    assert run_cli([*convert, "--dynamics", "if", "--time-steps", "8"]) == 0
    site = onnx2snn.SpikingSession(path).plan.sites[0].site.name
    common = ["trace", path, "--input", data, "--site", site]
    capsys.readouterr()
    assert run_cli([*common, "--neuron", "2,5", "--sample", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10 and site in lines[0] and "membrane" in lines[1]
    table = tmp_path / "neuron.csv"
    assert run_cli([*common, "--neuron", "37", "-o", str(table)]) == 0
    rows = list(csv.DictReader(table.open()))
    assert [int(row["time_step"]) for row in rows] == list(range(1, 9))
    for wrong in (["--neuron", "6,5"], ["--neuron", "96"], ["--neuron", "0", "--sample", "3"]):
        assert run_cli([*common, *wrong]) == 2
    assert run_cli([*common[:-1], "nowhere", "--neuron", "0"]) == 2
    assert site in capsys.readouterr().err


def test_a_plot_or_the_reason_why_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = conv_net("LeakyRelu", alpha=0.1)
    x = {"x": net.rng.standard_normal((3, *net.shape)).astype(np.float32)}
    onnx2snn.save(
        onnx2snn.convert(net.model(), x, preset="paper", time_steps=6), tmp_path / "s.onnx"
    )
    np.savez(tmp_path / "x.npz", **x)
    site = onnx2snn.SpikingSession(tmp_path / "s.onnx").plan.sites[1].site.name
    common = ["trace", str(tmp_path / "s.onnx"), "--input", str(tmp_path / "x.npz")]
    image = tmp_path / "neuron.png"
    status = run_cli([*common, "--site", site, "--neuron", "0", "-o", str(image)])
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        assert status == 2 and "matplotlib" in capsys.readouterr().err
    else:
        assert status == 0 and image.read_bytes().startswith(b"\x89PNG")
