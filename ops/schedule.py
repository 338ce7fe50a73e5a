"""Step-size schedules eta(1) .. eta(T) of closed form (METHOD section 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnx2snn.ops.errors import UsageError


@dataclass(frozen=True)
class Schedule:
    """eta(t) for t = 1 .. T as a function of the first step size and a decay.

    defaults: step size and decay where the caller names none.
    """

    name: str
    formula: Callable[[NDArray[np.float64], float, float], NDArray[np.float64]]
    default_step_size: float = 0.15
    default_decay: float = 0.95

    def __call__(
        self, time_steps: int, step_size: float | None = None, decay: float | None = None
    ) -> NDArray[np.float64]:
        """Step sizes, shape [T], for a site whose values have unit scale."""
        step_size = self.default_step_size if step_size is None else step_size
        decay = self.default_decay if decay is None else decay
        if not (np.isfinite(step_size) and step_size > 0):
            raise UsageError(f"step size {step_size} must be a positive number")
        if not 0 < decay <= 1:
            raise UsageError(f"decay {decay} must lie in (0, 1]")
        return self.formula(np.arange(1, time_steps + 1, dtype=np.float64), step_size, decay)


SCHEDULES: dict[str, Schedule] = {
    schedule.name: schedule
    for schedule in (
        Schedule("exponential", lambda t, eta, decay: eta * decay ** (t - 1)),
        Schedule("inverse", lambda t, eta, decay: eta / (t + 1), default_step_size=1.0),
        Schedule("constant", lambda t, eta, decay: np.full_like(t, eta)),
    )
}


def integration(
    time_steps: int, tau: float | None, membrane: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """eta(t) and theta(t) / Theta of integrate-and-fire neurons, as `ops.neurons` derives them.

        eta(t) = e / (1 - (1-e)^t),  theta(t) = (1 - h) (1-e)^(t-1) eta(t) Theta

    tau:      1 / e, membrane time constant in steps; None for IF, e -> 0: eta(t) = 1 / t.
    membrane: h, initial membrane potential as a share of the threshold.
    """
    t = np.arange(1, time_steps + 1, dtype=np.float64)
    if tau is None:
        return 1 / t, (1 - membrane) / t
    if not (np.isfinite(tau) and tau > 1):
        raise UsageError(f"tau is {tau}; it must be more than one time step")
    leak = 1 - 1 / tau
    eta = (1 - leak) / (1 - leak**t)
    return eta, (1 - membrane) * leak ** (t - 1) * eta
