"""Where results go, and the machine they were measured on."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("onnx2snn", "torch", "onnx", "onnxruntime-gpu", "numpy")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def machine() -> dict[str, Any]:
    """Processor, its vectors, cores and versions."""
    return {
        "processor": _processor(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def write(name: str, command: str, rows: list[dict[str, Any]]) -> Path:
    """Write one result file: the command, the date, the machine and the rows."""
    path = RESULTS / f"{name}.json"
    content = {
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "rows": rows,
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def read(name: str, missing: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """The rows of a result file; `missing`, if given, where there is none."""
    path = RESULTS / f"{name}.json"
    if missing is not None and not path.exists():
        return missing
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"]
    return rows
