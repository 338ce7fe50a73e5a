"""The digits networks by the paper's own package, snn_signgd, as a baseline of speed."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.modules import with_modules
from models.digits import load_digits

BATCH = 64
# Defaults of the package's signGD configuration.
STEP_SIZE, DECAY = 0.15, 0.95

Run = Callable[[NDArray[Any]], NDArray[Any]]


def _silence() -> contextlib.AbstractContextManager[object]:
    return contextlib.redirect_stderr(io.StringIO())


def simulation(name: str, calibration: NDArray[Any], time_steps: int) -> Run | None:
    """Images to logits after `time_steps` steps; None where the package is missing."""
    try:
        with _silence():  # its log keeps the stream that it finds
            import snn_signgd as peer
    except ImportError as error:
        print(f"snn_signgd: left out, since it cannot be imported ({error})", flush=True)
        return None
    config = peer.FunctionalConfig
    dynamics = peer.construct_spiking_neurons_for_operators(
        moduleoptimizer_cfg=config(module=peer.SGDModule, lr=STEP_SIZE, inplace=False),
        lr_scheduler_cfg=config(
            module=peer.ExponentialScheduler, gamma=DECAY, eager_evaluation=True
        ),
    )
    images = torch.from_numpy(calibration)
    parts = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    with torch.no_grad(), _silence():
        network, _, _ = peer.convert(
            with_modules(load_digits(name)),
            neuronal_dynamics=dynamics,
            dynamics_type="signgd",
            default_simulation_length=time_steps,
            activation_scale_dataloader=[(part, torch.zeros(len(part))) for part in parts],
            max_activation_scale_iterations=len(parts),
            scale_relu_with_max_activation=True,
        )

    def run(batch: NDArray[Any]) -> NDArray[Any]:
        with torch.no_grad(), _silence():
            return np.asarray(network(torch.from_numpy(batch)))

    return run
