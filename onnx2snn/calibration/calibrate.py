"""Calibration of a task: a walk that fixes one site after another, then tuning of them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from onnx2snn.calibration.task import Task
from onnx2snn.calibration.tuning import More, tuned
from onnx2snn.calibration.walk import Choose, SiteParameters, Walk
from onnx2snn.ops.errors import ModelError

Progress = Callable[[str, int, int], None]


def calibrate(
    task: Task, choose: Choose, tuning: int | None, more: More, progress: Progress | None = None
) -> dict[str, SiteParameters]:
    """Parameters of every site, by its name.

    choose: picks a site's parameters on its trajectory.
    tuning: steps of tuning; None for as many as the model's size allows.
    more:   makes the task that tuning learns from.
    """
    parameters = Walk(task, choose).run(_stage(progress, "calibrating"))
    _check_finite(parameters)
    return tuned(task, parameters, tuning, more, _stage(progress, "tuning"))


def _stage(progress: Progress | None, stage: str) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    report = progress
    return lambda done, total: report(stage, done, total)


def _check_finite(parameters: Mapping[str, SiteParameters]) -> None:
    for name, chosen in parameters.items():
        for tensor in vars(chosen).values():
            if not bool(torch.isfinite(tensor).all()):
                raise ModelError(
                    f"site '{name}': the ANN's activations are not finite on the calibration "
                    "data; check the data's range"
                )
