"""How much tuning a model can afford: fixed by its size, not by the clock, so reproducible."""

from __future__ import annotations

from dataclasses import dataclass

from onnx2snn.calibration.data import MEMORY_BYTES

# Steps of tuning; those of few time steps take less time, so that there may be more of them.
MOST_STEPS, MOST_STEPS_OF_FEW = 600, 1000
MOST_TIME_STEPS = 4000
FEWEST_STEPS = 40
# Schedules for more time steps than these stay as the walk leaves them: there its error is small
# and tuning found nothing better (docs/accuracy.md).
LONGEST_WINDOW = 48
BATCH = 32
SMALLEST_BATCH = 8
# Work that a conversion may spend on tuning, in multiply-accumulates: minutes on two cores.
WORK = 1.2e13
# An elementwise pass over a neuron and time step costs as much as so many of them.
WORK_PER_NEURON = 250
# Copies of every neuron's value over time that a backward pass holds, in bytes.
BYTES_PER_NEURON = 48
# Samples to learn from, and the bytes for which the ANN's values of one neuron are held.
MOST_SAMPLES = 512
BYTES_PER_VALUE = 8


@dataclass(frozen=True)
class Cost:
    """Of one sample and time step: multiply-accumulates and neurons."""

    macs: int
    neurons: int

    @property
    def work(self) -> float:
        """Forward and backward pass together."""
        return 3.0 * (self.macs + WORK_PER_NEURON * self.neurons)


def batch_size(cost: Cost, time_steps: int, samples: int) -> int:
    """Samples per tuning step that memory allows, at most `BATCH`."""
    fitting = MEMORY_BYTES // max(BYTES_PER_NEURON * time_steps * cost.neurons, 1)
    return min(BATCH, samples, fitting)


def affordable_steps(cost: Cost, time_steps: int, samples: int) -> int:
    """Tuning steps within the work a conversion may spend; 0 where they are of no use."""
    if time_steps > LONGEST_WINDOW:
        return 0
    batch = batch_size(cost, time_steps, samples)
    if batch < min(SMALLEST_BATCH, samples):
        return 0
    steps = int(WORK / max(cost.work * time_steps * batch, 1.0))
    most = max(MOST_STEPS, min(MOST_STEPS_OF_FEW, MOST_TIME_STEPS // time_steps))
    return min(most, steps) if steps >= FEWEST_STEPS else 0


def samples_to_learn_from(cost: Cost) -> int:
    """Samples whose values at all neurons memory holds, at most `MOST_SAMPLES`."""
    return min(MOST_SAMPLES, MEMORY_BYTES // (BYTES_PER_VALUE * max(cost.neurons, 1)))
