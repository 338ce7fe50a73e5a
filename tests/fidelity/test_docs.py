"""The commands of docs/fidelity.md run."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

import onnx2snn
from onnx2snn.cli import run_cli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "fidelity.md").read_text()


@pytest.mark.slow
def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    for kind in ("digits_*.onnx", "digits_*.npz"):
        for path in (ROOT / "models").glob(kind):
            shutil.copy(path, tmp_path / "models" / path.name)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    commands = [line.removeprefix("$ ") for line in "".join(blocks).splitlines()]
    assert len(commands) >= 8
    for command in commands:
        name, *arguments = shlex.split(command)
        assert name == "onnx2snn"
        if "SITE" in arguments:
            sites = onnx2snn.SpikingSession("if.snn.onnx").plan.sites
            arguments[arguments.index("SITE")] = sites[0].site.name
        status = run_cli(arguments)
        if arguments[-1].endswith(".nir") and status == 2:
            continue
        assert status == 0, command
    assert (tmp_path / "neuron.csv").is_file()
