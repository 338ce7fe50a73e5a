"""`--time-steps auto`: the fewest time steps at which the SNN still answers as the ANN does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from onnx2snn.calibration.task import Network, Task
from onnx2snn.calibration.tuning.budget import BATCH
from onnx2snn.calibration.walk import SiteParameters
from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.classes import predicted
from onnx2snn.runtime.state import Parameters

FIRST, MOST = 1, 256

Attempt = Callable[[int], float]


@dataclass(frozen=True)
class Choice:
    """What a search found.

    time_steps: the fewest tried that are within the tolerance.
    tried:      disagreement with the ANN in percent, by time steps.
    """

    time_steps: int
    tried: dict[int, float]


def fewest_steps(disagreement: Attempt, tolerance: float) -> Choice:
    """Double T until `disagreement(T)` is within `tolerance` percent, then bisect.

    Raises ModelError where even `MOST` steps are not enough.
    """
    tried: dict[int, float] = {}

    def within(time_steps: int) -> bool:
        tried[time_steps] = disagreement(time_steps)
        return tried[time_steps] <= tolerance

    enough = FIRST
    while not within(enough):
        enough *= 2
        if enough > MOST:
            raise ModelError(
                f"after {MOST} time steps the SNN still disagrees with the ANN on "
                f"{tried[MOST]:.1f} % of the calibration samples; raise --tolerance or give "
                "--time-steps"
            )
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if within(middle):
            enough = middle
        else:
            too_few = middle
    return Choice(enough, dict(sorted(tried.items())))


def disagreement(task: Task, chosen: dict[str, SiteParameters]) -> float:
    """Percent of the calibration samples whose class in the first output is not the ANN's."""
    if not task.outputs:
        raise ModelError("no output of the model depends on spikes; give --time-steps a number")
    parameters = {name: Parameters.of(**vars(site)) for name, site in chosen.items()}
    network = Network(task, parameters)
    name, ann = next(iter(task.outputs.items()))
    wrong = 0
    with torch.inference_mode():
        for rows in torch.split(torch.arange(task.samples), BATCH):
            found = predicted(network.run(rows).values[name].numpy())
            expected = predicted(ann[rows].numpy())
            same = (found == expected).all(axis=tuple(range(1, found.ndim)))
            wrong += len(same) - int(same.sum())
    return 100.0 * wrong / task.samples
