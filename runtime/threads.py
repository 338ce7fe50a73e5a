"""Whether a block of time steps is worth several threads.

Every operator of a block starts its threads and waits for the last of them. Where operators take
tens of microseconds each, that costs more than the other threads bring. The threads of a compiled
program are started once for all of a block and only meet in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from onnx2snn.runtime.plan import Plan
from onnx2snn.runtime.state import State

# Multiply-accumulates per step of the plan from which several threads share the work, operator
# by operator and in a program; in the time of NEURON of them a neuron takes one time step.
SHARED = 1 << 22
SHARED_IN_PROGRAM = 1 << 18
NEURON = 32


@dataclass(frozen=True)
class Pace:
    """Time steps per block, and whether one thread alone runs it.

    alone:   operator by operator.
    program: as a compiled program.
    """

    steps: int
    alone: bool
    program: bool

    @staticmethod
    def of(plan: Plan, state: State, steps: int) -> Pace:
        """The pace of blocks of so many time steps."""
        work = sum(state.macs.values()) + NEURON * sum(state.neurons.values())
        each = work * steps / max(len(plan.steps), 1)
        return Pace(steps, each < SHARED, each < SHARED_IN_PROGRAM)


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
