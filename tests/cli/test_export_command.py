"""`onnx2snn export` as a user calls it."""

import numpy as np
import onnx
import onnxruntime
import pytest
from command_models import arrays, spiking, write_data, write_model

import onnx2snn
from onnx2snn.cli import run_cli


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Run the command line in a folder with a spiking file (T = 4); its standard output."""
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "s.onnx", spiking())
    write_data(tmp_path / "d.npz", **arrays(24))

    def run(command: str, status: int = 0) -> str:
        assert run_cli(command.split()) == status
        captured = capsys.readouterr()
        assert (captured.err == "") == (status == 0)
        return captured.out

    return run


def run_loop(path="loop.onnx"):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"image": arrays(24)["image"]}), strict=True))


def expected(**settings):
    session = onnx2snn.SpikingSession("s.onnx", device="cpu")
    return session.run(None, {"image": arrays(24)["image"]}, **settings)[0]


def test_a_loop_answers_as_run_does(call):
    assert call("export s.onnx --to onnx-loop -o loop.onnx") == "wrote loop.onnx\n"
    results = run_loop()
    assert list(results) == ["logits"]
    np.testing.assert_allclose(results["logits"], expected(), atol=1e-5)


def test_fewer_steps_spikes_and_precision(call):
    options = "--time-steps 2 --spikes --precision float64"
    call(f"export s.onnx --to onnx-loop {options} -o loop.onnx")
    results = run_loop()
    assert list(results) == ["logits", "act/output.spikes"]
    assert results["logits"].dtype == np.float64
    assert results["act/output.spikes"].shape == (2, 24, 8)
    np.testing.assert_allclose(results["logits"], expected(time_steps=2), atol=1e-5)


def test_a_step_comes_with_its_start(call, tmp_path):
    out = call("export s.onnx --to onnx-step -o one.step.onnx")
    assert out == "wrote one.step.onnx\nwrote one.step.init.onnx\n"
    forms = {}
    for path in sorted(tmp_path.glob("one.*")):
        model = onnx.load(path)
        onnx.checker.check_model(model)
        forms[path.name] = {p.key: p.value for p in model.metadata_props}["onnx2snn.export"]
    assert forms == {"one.step.init.onnx": "onnx-init", "one.step.onnx": "onnx-step"}


@pytest.mark.parametrize("taken", ["one.onnx", "one.init.onnx"])
def test_nothing_is_replaced_without_force(call, tmp_path, taken):
    (tmp_path / taken).write_bytes(b"mine")
    call("export s.onnx --to onnx-step -o one.onnx", 2)
    assert (tmp_path / taken).read_bytes() == b"mine"
    assert len(list(tmp_path.glob("one*"))) == 1
    call("export s.onnx --to onnx-step -o one.onnx --force")
    assert len(list(tmp_path.glob("one*"))) == 2


def test_an_exported_file_is_no_spiking_file(call, capsys):
    call("export s.onnx --to onnx-loop -o loop.onnx")
    assert run_cli(["run", "loop.onnx", "--input", "d.npz"]) == 1
    assert "no spiking neurons" in capsys.readouterr().err
