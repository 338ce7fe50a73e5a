"""Opens what `run` and `evaluate` work on."""

from __future__ import annotations

from pathlib import Path

from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime import SpikingSession


def open_spiking(
    path: Path,
    device: str,
    precision: str,
    memory: int | None = None,
    compile: bool = True,
) -> SpikingSession:
    """A session on a spiking file; ModelError for a model without spiking neurons."""
    session = SpikingSession(
        path, device=device, precision=precision, memory=memory, compile=compile
    )
    if not session.plan.sites:
        raise ModelError(f"{path} holds no spiking neurons; run `onnx2snn convert` on it first")
    return session
