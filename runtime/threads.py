"""Whether a block of time steps is worth several threads.

Every operator of a block starts its threads and waits for the last of them. Where operators take
tens of microseconds each, that costs more than the other threads bring.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from onnx2snn.runtime.plan import Plan
from onnx2snn.runtime.state import State

# Multiply-accumulates per step of the plan from which several threads share the work; in the
# time of NEURON of them a neuron takes one time step.
SHARED = 1 << 22
NEURON = 32


@dataclass(frozen=True)
class Pace:
    """Time steps per block, and whether one thread alone runs it."""

    steps: int
    alone: bool


def is_small(plan: Plan, state: State, steps: int) -> bool:
    """Whether a block of so many time steps had better be run by one thread."""
    work = sum(state.macs.values()) + NEURON * sum(state.neurons.values())
    return work * steps < SHARED * len(plan.steps)


@contextmanager
def one_thread(alone: bool) -> Iterator[None]:
    """Run PyTorch on one thread, if `alone`."""
    before = torch.get_num_threads()
    if not alone or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
