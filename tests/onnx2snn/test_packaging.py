"""The wheel holds every folder of the package."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = {"onnx2snn": "onnx2snn", "ops": "onnx2snn.ops", "runtime": "onnx2snn.runtime"}


def test_every_package_is_listed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found = set()
    for folder, name in FOLDERS.items():
        for file in (ROOT / folder).rglob("__init__.py"):
            inner = file.parent.relative_to(ROOT / folder).parts
            found.add(".".join((name, *inner)))
    assert found == set(settings["tool"]["setuptools"]["packages"])
