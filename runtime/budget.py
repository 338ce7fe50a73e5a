"""How many time steps fit through the graph at once."""

from __future__ import annotations

import torch

from onnx2snn.runtime.plan import ConstantStep, Plan, step_outputs
from onnx2snn.runtime.state import State

# Larger blocks leave the processor's caches, smaller ones have more overhead per step.
CPU_BYTES = 16 << 20
# Where one step leaves the caches anyhow, several at a time save passes over states and weights.
STREAMED_BLOCK = 4
STREAMED_BYTES = 512 << 20
GPU_BYTES = 1 << 30
LONGEST_BLOCK = 64
# On a processor longer blocks than this pay only while all their signals are in its cache.
LONG_ENOUGH = 16
CACHED_BYTES = 4 << 20


def signal_bytes(plan: Plan, state: State, size: int) -> int:
    """Most bytes of signals alive at once while one time step passes through the graph.

    size: bytes per number.
    """
    alive: dict[str, int] = {}
    most = 0
    for index, step in enumerate(plan.steps):
        if not isinstance(step, ConstantStep):
            for name in step_outputs(step):
                if name in state.shapes:
                    alive[name] = state.shapes[name].numel() * size
        most = max(most, sum(alive.values()))
        for name in plan.last_use[index]:
            alive.pop(name, None)
    return most


def block_length(
    plan: Plan, state: State, size: int, memory: int | None, device: torch.device
) -> int:
    """K, the time steps whose signals fit in `memory` bytes: at least one.

    memory: None for what suits the device.
    """
    one_step = max(signal_bytes(plan, state, size), 1)
    if device.type != "cpu":
        fitting = (GPU_BYTES if memory is None else memory) // one_step
    else:
        most = CPU_BYTES if memory is None else memory
        fitting = max(min(most // one_step, LONG_ENOUGH), min(most, CACHED_BYTES) // one_step)
        if memory is None:
            fitting = max(fitting, min(STREAMED_BYTES // one_step, STREAMED_BLOCK))
    return max(1, min(LONGEST_BLOCK, fitting))


def even(steps: int, total: int) -> int:
    """Length of as many blocks as `total` time steps need at no more than `steps` each."""
    return -(-total // -(-total // steps))
