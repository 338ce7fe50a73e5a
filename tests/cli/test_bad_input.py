"""Bad input, one row each: exit status, one line that names thing and remedy, no output left."""

import os
from pathlib import Path

import pytest
import torch
from bad_input_rows import ROWS, Row
from command_models import arrays, model, onnx2snn_process, spiking, write_data, write_model
from onnx import ModelProto

from onnx2snn.cli import run_cli


def prepared(folder: Path, row: Row) -> None:
    defaults = {"m.onnx": model, "s.onnx": spiking, "d.npz": arrays}
    for name, content in {**defaults, **row.files}.items():
        made = content() if callable(content) else content
        if isinstance(made, dict):
            write_data(folder / name, **made)
        else:
            assert isinstance(made, bytes | ModelProto)
            write_model(folder / name, made)
    if row.prepare:
        row.prepare(folder)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def check_row(row: Row) -> None:
    if row.name == "usage: no permission" and os.geteuid() == 0:
        pytest.skip("root may write everywhere; a file in the folder's place covers the check")
    if row.name == "usage: no GPU" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_bad_input(row, tmp_path, monkeypatch, capfd):
    check_row(row)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    prepared(folder, row)
    before = snapshot(folder)
    assert run_cli(row.command.split()) == row.status
    captured = capfd.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), captured.err
    assert "internal" not in lines[0]
    for fragment in row.fragments:
        assert fragment in lines[0], lines[0]
    assert snapshot(folder) == before


def test_row_names_are_unique():
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("name", ["model: no ONNX", "data: NaN", "usage: T beyond the file"])
def test_the_installed_command_says_the_same(name, tmp_path):
    row = next(row for row in ROWS if row.name == name)
    prepared(tmp_path, row)
    done = onnx2snn_process(*row.command.split(), cwd=tmp_path)
    assert done.returncode == row.status
    assert len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr
    assert all(fragment in done.stderr for fragment in row.fragments)


def test_debug_shows_the_traceback(tmp_path):
    done = onnx2snn_process("inspect", tmp_path / "no.onnx", "--debug")
    assert done.returncode == 1 and "Traceback" in done.stderr
