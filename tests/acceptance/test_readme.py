"""README is true: its commands and code run, its tables are those of benchmarks/results."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = [path for kind in ("*.onnx", "*.npz") for path in (ROOT / "models").glob(kind)]
    (tmp_path / "models").mkdir()
    for path in files:
        shutil.copy(path, tmp_path / "models" / path.name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_commands_run(workplace: Path) -> None:
    commands = [line.removeprefix("$ ") for line in "".join(blocks("console")).splitlines() if line]
    assert len(commands) >= 4
    tool = Path(sys.executable).with_name("onnx2snn")
    for command in commands:
        name, *arguments = shlex.split(command)
        assert name == "onnx2snn"
        done = subprocess.run([tool, *arguments], capture_output=True, text=True, cwd=workplace)
        assert done.returncode == 0, done.stderr
    assert (workplace / "logits.npz").is_file()


def test_the_python_code_runs(workplace: Path) -> None:
    names: dict[str, object] = {}
    for code in blocks("python"):
        exec(code, names)
    assert getattr(names["logits"], "shape", None) == (10, 10)


def test_the_tables_are_the_measured_ones() -> None:
    sys.path.append(str(ROOT))
    from benchmarks.tables import PAGES, filled

    for page in PAGES:
        text = (ROOT / page).read_text()
        assert filled(text) == text
