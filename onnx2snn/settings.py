"""The settings of a conversion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onnx2snn.calibration.choose import SCHEDULE_NAMES
from onnx2snn.calibration.direct import THRESHOLDS, check_integration
from onnx2snn.calibration.windows import Windows, parse_offset
from onnx2snn.ops.dynamics import ALPHABETS
from onnx2snn.ops.errors import UsageError
from onnx2snn.ops.operator import INTEGRATING, PAPER
from onnx2snn.rules import (
    ALL,
    BY_DEPTH,
    BYPASSES,
    FEW_TOGETHER,
    LINEAR,
    NONE,
    RESIDUAL,
    Encoding,
    Options,
)

AUTO = "auto"
PRESETS = ("paper",)
NEURONS = ("signgd", *INTEGRATING)
DIRECT, POISSON, SPIKES = INPUTS = ("direct", "poisson", "spikes")
FUSED, DECOMPOSED = "fused", "decomposed"
# Time steps below which every spike of ternary neurons should count.
FEW = 8
# Time steps below which accuracy is dearer than energy, but to ternary neurons with few.
MANY = 32
# Time steps from which on it no longer is to any network.
VERY_MANY = 64
# Steps times sites whose spikes may come together in one stream where accuracy is dearer, so that
# an operator does not spend more in more steps.
STEPS_TOGETHER = 96


@dataclass(frozen=True)
class Settings:
    """How to convert; the defaults are those of the command line.

    time_steps: T, the number of steps for which each site fires, or "auto" for the fewest whose
                disagreement with the ANN on the calibration data is within `tolerance`.
    tolerance:  percent of the calibration samples.
    schedule:   "calibrated", "exponential", "inverse" or "constant".
    step_size, decay: of a closed-form schedule, None for its default.
    spikes:     "binary" or "ternary".
    layer_norm: "fused" (one site) or "decomposed" (two sites); RMS and instance normalization too.
                None for the former, or what the preset has.
    max_pool:   "tree" (sites of two inputs) or "fused" (one for all of a window, Relu included).
    bypass:     what passes by neurons, which send the rest: "residual", the shortcut of a residual
                sum in front of a Relu; "linear", that and the linear part of the first sites and
                of normalisations; "all", the linear part of every site, which takes the fewest
                steps and the most energy, and ternary neurons then do not save any; or "none".
                None for "residual" where ternary neurons have fewer than FEW steps, since they are
                to save energy; for "none" where sites wait for each other, so that a bypass saves
                no waiting; else for "all" below MANY steps and "linear" from there on, but of small
                deep networks (`onnx2snn.bypass`) only from VERY_MANY.
    softmax:    "fused" (one site) or "decomposed" (maximum, powers, their shares).
    quantization: of a quantised model: "exact" (every rounding of a signal is a site) or "smooth"
                (only those that are activations, the others are left out).
    tuning:     steps of end-to-end tuning of the calibrated schedule; None for as many as the
                model's size allows, 0 for none.
    windows:    "synchronous": all sites fire for all T steps; "sequential": each site fires for
                T steps once those before it are done; a number between 0 and 1: in between.
    preset:     "paper" for the paper's own code, bit for bit: its schedule (exponential unless
                named; `step_size` and `decay` are free), scales, input, ties and pooling.
    dynamics:   "signgd"; "if" or "lif" (integrate-and-fire, leaky), for networks of ReLU alone.
    threshold:  of IF and LIF: one per "layer" or per "channel".
    percentile: of the ReLU's outputs on the calibration data that a threshold is; 100: largest.
    membrane:   initial membrane potential of IF and LIF, as a share of the threshold.
    tau:        time constant of LIF, in time steps.
    input:      "direct", as it is: a constant current; of IF and LIF also "poisson", random spikes;
                of signGD also "spikes": what would join spikes is sent by neurons too, which costs
                less energy and some accuracy. None for "spikes" where ternary neurons have fewer
                than FEW steps, else "direct".
    seed:       of Poisson input.
    exclude:    node names or operator types, shell patterns allowed, to leave analog.
    strict:     refuse models of which a node stays analog.
    """

    time_steps: int | str = 32
    tolerance: float = 1.0
    schedule: str = "calibrated"
    step_size: float | None = None
    decay: float | None = None
    spikes: str = "binary"
    layer_norm: str | None = None
    max_pool: str = "fused"
    bypass: str | None = None
    softmax: str = "fused"
    quantization: str = "exact"
    tuning: int | None = None
    windows: str = "synchronous"
    preset: str | None = None
    dynamics: str = "signgd"
    threshold: str = "layer"
    percentile: float = 100.0
    membrane: float = 0.0
    tau: float = 10.0
    input: str | None = None
    seed: int = 0
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
            ("preset", self.preset or PRESETS[0], PRESETS),
            ("dynamics", self.dynamics, tuple(NEURONS)),
            ("threshold", self.threshold, THRESHOLDS),
            ("input", self.input or DIRECT, INPUTS),
            ("schedule", self.schedule, SCHEDULE_NAMES),
            ("spikes", self.spikes, tuple(ALPHABETS)),
            ("layer norm", self.layer_norm or FUSED, (FUSED, DECOMPOSED)),
            ("max pool", self.max_pool, ("tree", "fused")),
            ("bypass", self.bypass or NONE, BYPASSES),
            ("softmax", self.softmax, ("fused", "decomposed")),
            ("quantization", self.quantization, ("exact", "smooth")),
        )
        for what, value, known in choices:
            if value not in known:
                raise UsageError(f"{what} '{value}' is not one of {', '.join(known)}")
        if self.is_fixed:
            self._check_fixed()
        if self.integrating:
            check_integration(self.percentile, self.membrane, self.tau, self.seed)

    def _check_fixed(self) -> None:
        """A preset and integrate-and-fire neurons leave no choice in most of the rest."""
        what = f"the preset '{self.preset}'" if self.preset else f"--dynamics {self.dynamics}"
        if self.preset and self.integrating:
            raise UsageError(f"{what} is made of signGD neurons, not {self.dynamics}")
        own = ["windows", "layer_norm", "softmax", "bypass"]
        if self.integrating:
            own += ["schedule", "spikes", "step_size", "decay"]
        if self.tuning:
            raise UsageError(f"tuning means nothing to {what}")
        for name in own:
            if getattr(self, name) != getattr(Settings, name):
                raise UsageError(f"{what} leaves no choice of {name.replace('_', '-')}")
        if self.input == SPIKES:
            raise UsageError(f"{what} does not send its input as spikes of signGD neurons")
        if self.time_steps == AUTO:
            raise UsageError(f"{what} needs a number of time steps, not '{AUTO}'")

    @property
    def integrating(self) -> bool:
        """Whether neurons integrate and fire."""
        return self.dynamics in INTEGRATING

    @property
    def is_fixed(self) -> bool:
        """Whether all parameters follow from the ANN's activations, without a walk."""
        return bool(self.preset) or self.integrating

    @property
    def window(self) -> Windows:
        """All sites at once, where the number of time steps is known."""
        return Windows(int(self.time_steps), {})

    @property
    def schedule_name(self) -> str:
        """The schedule, that of a preset or of integrating neurons where they have their own."""
        if self.integrating:
            return "rate" if self.dynamics == "if" else "moving-average"
        preset = self.preset and self.schedule == "calibrated"
        return "exponential" if preset else self.schedule

    @property
    def tuning_steps(self) -> int | None:
        """Steps of tuning, None where the model's size decides."""
        return self.tuning if self.schedule_name == "calibrated" else 0

    @property
    def matching(self) -> Options:
        """The part that matching needs."""
        dynamics = PAPER if self.preset else self.dynamics
        neurons = {"dynamics": dynamics, "spikes": self.spikes, "schedule": self.schedule_name}
        if self.preset:
            encoding = Encoding("current")
            return Options(
                DECOMPOSED,
                "chain",
                self.exclude,
                neurons,
                DECOMPOSED,
                encoding=encoding,
                bypass=NONE,
            )
        random = self.integrating and self.input == POISSON
        encoding_or_none = Encoding(POISSON, self.seed) if random else None
        return Options(
            self.layer_norm or FUSED,
            self.max_pool,
            self.exclude,
            neurons,
            self.softmax,
            self.quantization,
            encoding_or_none,
            (self.input or self._best_input) == SPIKES,
            self.bypass or self._best_bypass,
        )

    @property
    def together(self) -> int:
        """Sites whose spikes may come together in one stream where all linear parts pass."""
        steps = FEW if self.time_steps == AUTO else int(self.time_steps)
        return max(FEW_TOGETHER, STEPS_TOGETHER // steps)

    @property
    def _best_bypass(self) -> str:
        if parse_offset(self.windows) != 0:
            return NONE
        if self._is_frugal:
            return RESIDUAL
        if self.time_steps == AUTO or int(self.time_steps) < MANY:
            return ALL
        return BY_DEPTH if int(self.time_steps) < VERY_MANY else LINEAR

    @property
    def _best_input(self) -> str:
        return SPIKES if self._is_frugal and not self.is_fixed else DIRECT

    @property
    def _is_frugal(self) -> bool:
        few = self.time_steps == AUTO or int(self.time_steps) < FEW
        return few and self.spikes == "ternary"

    @property
    def of_the_ann(self) -> Options:
        """Matching whose sites, on the ANN's values, are the ANN's own tensors."""
        neurons = {"dynamics": "signgd"}
        return Options(max_pool="tree", exclude=self.exclude, neurons=neurons, bypass=NONE)


def _check_time_steps(time_steps: Any) -> None:
    if time_steps == AUTO:
        return
    if isinstance(time_steps, bool) or not isinstance(time_steps, int):
        raise UsageError(f"time steps must be a whole number or '{AUTO}', not {time_steps!r}")
    if time_steps < 1:
        raise UsageError(f"time steps must be at least 1, not {time_steps}")
