"""docs/export.md is true: its commands and its code run."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

import onnx2snn
from onnx2snn.cli import run_cli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "export.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_commands_and_code_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models").mkdir()
    for name in ("digits_resmlp.onnx", "digits_calibration.npz", "digits_test.npz"):
        shutil.copy(ROOT / "models" / name, tmp_path / "models" / name)
    monkeypatch.chdir(tmp_path)
    for line in "".join(blocks("console")).splitlines():
        assert run_cli(shlex.split(line.removeprefix("$ onnx2snn "))) == 0
    assert {p.name for p in tmp_path.glob("*.onnx")} == {
        "resmlp.snn.onnx",
        "resmlp.loop.onnx",
        "resmlp.step.onnx",
        "resmlp.step.init.onnx",
    }
    capsys.readouterr()
    names: dict[str, object] = {}
    for code in blocks("python"):
        exec(code, names)
    assert len(re.findall(r"^\d", capsys.readouterr().out, re.MULTILINE)) == 8
    session = onnx2snn.SpikingSession("resmlp.snn.onnx", device="cpu")
    (expected,) = session.run(None, names["feed"])  # type: ignore[arg-type]
    known = names["known"]
    assert isinstance(known, dict)
    np.testing.assert_allclose(known["logits"], expected, atol=1e-3)
