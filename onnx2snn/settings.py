"""The settings of a conversion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onnx2snn.calibration.choose import SCHEDULE_NAMES
from onnx2snn.calibration.windows import parse_offset
from onnx2snn.ops.dynamics import ALPHABETS
from onnx2snn.ops.errors import UsageError
from onnx2snn.rules import Options

AUTO = "auto"


@dataclass(frozen=True)
class Settings:
    """How to convert; the defaults are those of the command line.

    time_steps: T, the number of steps for which each site fires, or "auto" for the fewest whose
                disagreement with the ANN on the calibration data is within `tolerance`.
    tolerance:  percent of the calibration samples.
    schedule:   "calibrated", "exponential", "inverse" or "constant".
    step_size, decay: of a closed-form schedule, None for its default.
    spikes:     "binary" or "ternary".
    layer_norm: "decomposed" (two sites) or "fused" (one site); RMS and instance normalization too.
    max_pool:   "tree" (sites of two inputs) or "fused" (one for all of a window, Relu included).
    softmax:    "fused" (one site) or "decomposed" (two: powers, and their share of the sum).
    quantization: of a quantised model: "exact" (every rounding of a signal is a site) or "smooth"
                (only those that are activations, the others are left out).
    tuning:     steps of end-to-end tuning of the calibrated schedule; None for as many as the
                model's size allows, 0 for none.
    windows:    "synchronous": all sites fire for all T steps; "sequential": each site fires for
                T steps once those before it are done; a number between 0 and 1: in between.
    exclude:    node names or operator types, shell patterns allowed, to leave analog.
    strict:     refuse models of which a node stays analog.
    """

    time_steps: int | str = 32
    tolerance: float = 1.0
    schedule: str = "calibrated"
    step_size: float | None = None
    decay: float | None = None
    spikes: str = "binary"
    layer_norm: str = "decomposed"
    max_pool: str = "fused"
    softmax: str = "fused"
    quantization: str = "exact"
    tuning: int | None = None
    windows: str = "synchronous"
    exclude: tuple[str, ...] = ()
    strict: bool = False

    def __post_init__(self) -> None:
        _check_time_steps(self.time_steps)
        if not 0 <= self.tolerance < 100:
            raise UsageError(f"tolerance is {self.tolerance}; it must be a percentage below 100")
        if self.tuning is not None and self.tuning < 0:
            raise UsageError(f"tuning steps must be at least 0, not {self.tuning}")
        if self.tuning and self.schedule != "calibrated":
            raise UsageError(f"tuning means nothing to the {self.schedule} schedule")
        parse_offset(self.windows)
        choices: tuple[tuple[str, str, Sequence[str]], ...] = (
            ("schedule", self.schedule, SCHEDULE_NAMES),
            ("spikes", self.spikes, tuple(ALPHABETS)),
            ("layer norm", self.layer_norm, ("decomposed", "fused")),
            ("max pool", self.max_pool, ("tree", "fused")),
            ("softmax", self.softmax, ("fused", "decomposed")),
            ("quantization", self.quantization, ("exact", "smooth")),
        )
        for what, value, known in choices:
            if value not in known:
                raise UsageError(f"{what} '{value}' is not one of {', '.join(known)}")

    @property
    def tuning_steps(self) -> int | None:
        """Steps of tuning, None where the model's size decides."""
        return self.tuning if self.schedule == "calibrated" else 0

    @property
    def matching(self) -> Options:
        """The part that matching needs."""
        neurons = {"dynamics": "signgd", "spikes": self.spikes, "schedule": self.schedule}
        return Options(
            self.layer_norm,
            self.max_pool,
            self.exclude,
            neurons,
            self.softmax,
            self.quantization,
        )


def _check_time_steps(time_steps: Any) -> None:
    if time_steps == AUTO:
        return
    if isinstance(time_steps, bool) or not isinstance(time_steps, int):
        raise UsageError(f"time steps must be a whole number or '{AUTO}', not {time_steps!r}")
    if time_steps < 1:
        raise UsageError(f"time steps must be at least 1, not {time_steps}")
