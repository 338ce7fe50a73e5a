"""How many time steps fit through the graph at once."""

from __future__ import annotations

import torch

from onnx2snn.runtime.plan import ConstantStep, Plan, step_outputs
from onnx2snn.runtime.state import State

# Larger blocks leave the processor's caches, smaller ones have more overhead per step.
CPU_BYTES = 16 << 20
GPU_BYTES = 1 << 30
LONGEST_BLOCK = 64


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


def block_length(plan: Plan, state: State, size: int, memory: int) -> int:
    """K, the time steps whose signals fit in `memory` bytes: at least one."""
    return max(1, min(LONGEST_BLOCK, memory // max(signal_bytes(plan, state, size), 1)))


def even(steps: int, total: int) -> int:
    """Length of as many blocks as `total` time steps need at no more than `steps` each."""
    return -(-total // -(-total // steps))


def default_memory(device: torch.device) -> int:
    """Bytes for the signals of a block where the caller names no limit."""
    return CPU_BYTES if device.type == "cpu" else GPU_BYTES
