"""How a schedule's name becomes the parameters of a site."""

from __future__ import annotations

import torch

from onnx2snn.calibration.search import search
from onnx2snn.calibration.trajectory import Trajectory
from onnx2snn.calibration.walk import Choose, SiteParameters
from onnx2snn.ops.dynamics import ALPHABETS
from onnx2snn.ops.errors import UsageError
from onnx2snn.ops.schedule import SCHEDULES
from onnx2snn.runtime.plan import SiteStep

SCHEDULE_NAMES = ("calibrated", *SCHEDULES)
# A channel's range is taken to be at least so many of the smallest steps.
SMALLEST_RANGE = 100


def _calibrated(step: SiteStep, data: Trajectory) -> SiteParameters:
    """Step sizes per step and channel, fitted to the trajectory."""
    best = search(data, ALPHABETS[step.alphabet])
    return SiteParameters(
        scale=torch.ones(()),
        initial=best.centred.reshape(data.shape) * data.start,
        step_sizes=best.step_sizes.reshape(data.time_steps, *data.shape),
        thresholds=torch.zeros(data.time_steps),
    )


def chooser(name: str, step_size: float | None, decay: float | None) -> Choose:
    """The rule for schedule `name`: "calibrated", or one of closed form.

    The latter starts at the channel's mean and scales by the channel's largest deviation from
    it, so that a step size of 1 spans the range. Raises UsageError for unknown names and for
    settings that the schedule does not take.
    """
    if name == "calibrated":
        if step_size is not None or decay is not None:
            raise UsageError(
                "the calibrated schedule finds its own step sizes; give --step-size and --decay "
                "with --schedule exponential"
            )
        return _calibrated
    if name not in SCHEDULES:
        raise UsageError(f"schedule '{name}' is not one of {', '.join(SCHEDULE_NAMES)}")
    if decay is not None and name != "exponential":
        raise UsageError(f"--decay means nothing to the {name} schedule")
    schedule = SCHEDULES[name]
    schedule(1, step_size, decay)

    def closed_form(step: SiteStep, data: Trajectory) -> SiteParameters:
        initial = data.mean(data.final)
        smallest = SMALLEST_RANGE * data.smallest_step
        extent = (data.final - initial.unsqueeze(1)).abs().amax(1).clamp_min(smallest)
        steps = torch.from_numpy(schedule(data.time_steps, step_size, decay))
        return SiteParameters(
            scale=extent.reshape(data.shape),
            initial=initial.reshape(data.shape),
            step_sizes=steps.to(data.final),
            thresholds=torch.zeros(data.time_steps),
        )

    return closed_form
