"""Tuning of all sites together, on the error of the network's outputs (METHOD section 4).

A layer-by-layer walk cannot know what downstream sites need of a trajectory. Here the whole
simulation is differentiated, with the slope of `ops.surrogate` in place of the sign's, and Adam
(Kingma & Ba, 2015) moves step sizes, thresholds and initial estimates, whose mean over the last
steps is taken. What data further out would miss has a price too (`calibration.tuning.tails`).
Weights stay untouched, no label is read. It learns from the given samples and, where those are few,
from others made of them. The tuned parameters are kept only if they do better on samples of which
half are held out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from onnx2snn.calibration.task import SMALLEST_VARIANCE, Network, Task
from onnx2snn.calibration.tuning.average import Average
from onnx2snn.calibration.tuning.budget import (
    Cost,
    affordable_steps,
    batch_size,
    samples_to_learn_from,
)
from onnx2snn.calibration.tuning.knobs import Knobs
from onnx2snn.calibration.tuning.tails import Tails, tails_of
from onnx2snn.calibration.walk import SiteParameters
from onnx2snn.ops.surrogate import scan_differentiable
from onnx2snn.runtime.energy import energy_ratio, input_macs, synapses
from onnx2snn.runtime.plan import LinearStep
from onnx2snn.runtime.state import Parameters, State

RATE = 0.1
# With more steps than this the steps get finer, and so must the search.
COARSE_STEPS = 16
LAST_RATE = 0.02
WARM_UP = 5
BETAS = (0.9, 0.95)
SITE_WEIGHT = 2.0
# More than SITE_WEIGHT, since what is missed at a site is also missed at the outputs.
UNSEEN_WEIGHT = 8.0
# Squared relative error that ternary neurons pay for the energy of their spikes, in units of the
# ANN's, in a window of PRICED_STEPS; with T steps, in which errors fall about like 1/T,
# (PRICED_STEPS / T)^2 of it. What is above a budget is DEARER: half of the ANN's energy in
# PRICED_STEPS, less where sites wait for each other and need not follow anything. What operators
# see of the input has been spent, up to half of a budget. Budgets of longer windows grow
# with their square, since fewer spikes cost them far more of their accuracy. Binary neurons fire in
# half of the steps whatever one pays.
ENERGY_WEIGHT = 0.5
PRICED_STEPS = 4
BUDGET = 0.128
BUDGET_OF_WAITING = 0.1
DEARER = 10.0
# What thresholds of single neurons may add to a file, in numbers.
MOST_THRESHOLDS = 1 << 21
# The last samples judge: of these, the first half is learnt from too, the other half is held out.
JUDGING = 0.125

Progress = Callable[[int, int], None]
# n -> the task on n samples, or on as many as there are and can be made.
More = Callable[[int], Task]


def output_error(task: Task, state: State, rows: Tensor) -> Tensor:
    """Squared error of the outputs over the ANN's squared norm, summed over outputs."""
    errors = [
        (state.values[name] - ann).square().mean()
        / task.outputs[name].square().mean().clamp_min(SMALLEST_VARIANCE)
        for name, ann in task.rows(task.outputs, rows).items()
    ]
    return torch.stack(errors).sum() if errors else torch.zeros(())


def site_error(task: Task, state: State, rows: Tensor) -> Tensor:
    """Squared error of v(T) over the variance of f*, mean over sites."""
    expected = task.rows(task.targets, rows)
    errors = []
    for step in task.plan.sites:
        error = state.values[step.site.output] - expected[step.site.name]
        errors.append(error.square().mean() / task.variances[step.site.name])
    return torch.stack(errors).mean()


def unseen_error(
    task: Task, tails: Mapping[str, Tails], parameters: Mapping[str, Parameters]
) -> Tensor:
    """Squared error of what no neuron could reach over the variance of f*, mean over sites."""
    missed = [tail.missed(parameters[name]) / task.variances[name] for name, tail in tails.items()]
    return torch.stack(missed).mean()


def spike_cost(task: Task, state: State) -> Tensor:
    """What ternary neurons pay for the energy of their spikes in a time step."""
    plan, steps = task.plan, task.windows.length
    if not task.saves_energy or not any(step.alphabet == "ternary" for step in plan.sites):
        return torch.zeros(())
    reached = synapses(plan, state)
    sops = torch.stack([reached[name] * spikes for name, spikes in state.spikes.items()]).sum()
    spent = energy_ratio(sops, 0, sum(state.macs.values())) / steps
    length = steps / PRICED_STEPS
    budget = (BUDGET if task.windows.latency == steps else BUDGET_OF_WAITING) * max(length, 1.0)
    once = energy_ratio(0.0, input_macs(plan, state), sum(state.macs.values())) / steps
    excess = (spent + min(once, budget / 2) - budget).clamp_min(0.0)
    return ENERGY_WEIGHT / length**2 * (spent + DEARER * excess)


def cost(task: Task, chosen: Mapping[str, SiteParameters]) -> Cost:
    """Work of one sample and time step, from an initial pass over the first sample."""
    with torch.inference_mode():
        state = Network(task, _parameters(chosen)).initial(torch.zeros(1, dtype=torch.int64))
    steps = task.plan.steps
    varying = (n for i, n in state.macs.items() if isinstance(steps[i], LinearStep))
    return Cost(sum(varying), sum(state.neurons.values()))


def _parameters(chosen: Mapping[str, SiteParameters]) -> dict[str, Parameters]:
    return {name: Parameters.of(**vars(site)) for name, site in chosen.items()}


def _batches(samples: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Random batches without end, every sample once before any comes again."""
    left = torch.empty(0, dtype=torch.int64)
    while True:
        while len(left) < size:
            left = torch.cat([left, torch.randperm(samples, generator=generator)])
        yield left[:size]
        left = left[size:]


def _rate(step: int, steps: int) -> float:
    """Factor of the learning rate: a short warm-up, then half a wave of a cosine."""
    wave = 0.5 + 0.5 * math.cos(math.pi * step / steps)
    return min((step + 1) / (WARM_UP + 1), LAST_RATE + (1 - LAST_RATE) * wave)


def _clean(tensors: list[Tensor]) -> None:
    """Targets such as the square root have infinite slopes; those count as none."""
    for tensor in tensors:
        if tensor.grad is not None:
            tensor.grad.nan_to_num_(0.0, 0.0, 0.0)


def tuned(
    task: Task,
    chosen: Mapping[str, SiteParameters],
    steps: int | None,
    more: More,
    progress: Progress | None = None,
) -> dict[str, SiteParameters]:
    """Parameters after `steps` steps of tuning, or `chosen` where that did not help.

    steps: None for as many as the size of the model allows.
    more:  makes the task to learn from; a few of its samples judge.
    """
    cost_of_sample = cost(task, chosen)
    if steps is None:
        steps = affordable_steps(cost_of_sample, task.windows.length, task.samples)
    if not steps:
        return dict(chosen)
    wide = more(samples_to_learn_from(cost_of_sample))
    lesson = wide if wide.is_finite else task
    judging = int(JUDGING * lesson.samples)
    training = lesson.samples - judging // 2
    judge = torch.arange(lesson.samples - judging if judging else 0, lesson.samples)
    size = batch_size(cost_of_sample, task.windows.length, training)
    batches = _batches(training, size, torch.Generator().manual_seed(0))
    tails = tails_of(lesson, chosen)
    found = _descend(lesson, tails, chosen, batches, steps, progress)
    parts = torch.split(judge, size)
    known, now = (_judged(lesson, tails, parameters, parts) for parameters in (chosen, found))
    return found if now < known else dict(chosen)


def _told_apart(task: Task) -> dict[str, tuple[int, ...]]:
    """Shape of the neurons of every site, where each may have thresholds of its own."""
    targets = {name: x for name, x in task.targets.items() if task.has_own_axes(x)}
    neurons = sum(x[0].numel() for x in targets.values())
    if neurons * task.windows.latency > MOST_THRESHOLDS:
        return {}
    return {name: tuple(x.shape[1:]) for name, x in targets.items()}


def _descend(
    task: Task,
    tails: Mapping[str, Tails],
    chosen: Mapping[str, SiteParameters],
    batches: Iterator[Tensor],
    steps: int,
    progress: Progress | None,
) -> dict[str, SiteParameters]:
    neurons = _told_apart(task)
    knobs = {
        name: Knobs.of(parameters, task.variances[name] ** 0.5, neurons.get(name, ()))
        for name, parameters in chosen.items()
    }
    network = Network(task, scan=scan_differentiable)
    rate = RATE * min(1.0, COARSE_STEPS / task.windows.length)
    groups = [group for knob in knobs.values() for group in knob.groups(rate)]
    optimiser = torch.optim.Adam(groups, betas=BETAS)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
    tensors = [x for group in optimiser.param_groups for x in group["params"]]
    average = Average(tensors, steps)
    for step in range(steps):
        network.parameters.update({name: knob.parameters() for name, knob in knobs.items()})
        rows = next(batches)
        state = network.run(rows)
        loss = output_error(task, state, rows) + SITE_WEIGHT * site_error(task, state, rows)
        loss = loss + UNSEEN_WEIGHT * unseen_error(task, tails, network.parameters)
        loss = loss + spike_cost(task, state)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        _clean(tensors)
        optimiser.step()
        schedule.step()
        average.update()
        if progress:
            progress(step + 1, steps)
    average.settle()
    return {name: knob.chosen() for name, knob in knobs.items()}


def _judged(
    task: Task,
    tails: Mapping[str, Tails],
    chosen: Mapping[str, SiteParameters],
    parts: Sequence[Tensor],
) -> float:
    """Error of the outputs (of the sites where no output is a number) and cost of spikes.

    With what would be missed of unseen data.
    """
    network = Network(task, _parameters(chosen))
    error = output_error if task.outputs else site_error
    total, samples = 0.0, sum(len(rows) for rows in parts)
    with torch.inference_mode():
        for rows in parts:
            state = network.run(rows)
            total += float(error(task, state, rows) + spike_cost(task, state)) * len(rows)
        unseen = UNSEEN_WEIGHT * float(unseen_error(task, tails, network.parameters))
    return total / max(samples, 1) + unseen
