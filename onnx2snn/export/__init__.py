"""Spiking files as standard ONNX: the time steps themselves, for any ONNX runtime.

read (network.py) -> what runs once (once.py), one time step (step.py) -> models.py -> file.py
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import onnx

from onnx2snn.export.models import init_model, loop_model, step_model
from onnx2snn.export.network import Network, read_network
from onnx2snn.ops.errors import UsageError
from onnx2snn.runtime.open import open_model

__all__ = ["FORMS", "export"]

FORMS: Mapping[str, Callable[[Network, bool], onnx.ModelProto]] = MappingProxyType(
    {"onnx-loop": loop_model, "onnx-step": step_model, "onnx-init": init_model}
)


def export(
    model: str | Path | onnx.ModelProto,
    to: str = "onnx-loop",
    *,
    time_steps: int | None = None,
    precision: str = "float32",
    spikes: bool = False,
) -> onnx.ModelProto:
    """Write the dynamics of a spiking file as a model of standard ONNX operators.

    to:         "onnx-loop": inputs and outputs of the file, all time steps in between;
                "onnx-step": one time step, states to states;
                "onnx-init": from the file's inputs to what "onnx-step" reads at first.
    time_steps: N, at most what the file holds, which is the default.
    precision:  "float32" or "float64", of states and weights.
    spikes:     also give the spikes of each site, as "<site>.spikes".

    At each step t a site with the estimate v does what it does in `SpikingSession`:

        sigma(t) = sign(v(t-1) - f(x(t)) - theta(t)),  v(t) = v(t-1) - eta(t) * sigma(t)

    Raises ModelError for a file that cannot be exported, UsageError for settings out of range.
    """
    if to not in FORMS:
        raise UsageError(f"export to '{to}' is not one of {', '.join(FORMS)}")
    return FORMS[to](read_network(open_model(model), time_steps, precision), spikes)
