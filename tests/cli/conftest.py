"""A working folder with small files, and the command line called in it."""

import pytest
from command_models import (
    arrays,
    model,
    spiking,
    write_data,
    write_model,
)

from onnx2snn.cli import run_cli


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
