"""The neuron against METHOD's equations in numpy, and the properties of sign descent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onnx2snn.ops.dynamics import ALPHABETS, Block, scan
from onnx2snn.ops.errors import UsageError
from onnx2snn.ops.schedule import SCHEDULES
from onnx2snn.ops.target import Target

Array = NDArray[Any]
TARGETS: dict[str, tuple[Target, Callable[..., Array]]] = {
    "relu": (Target("relu", 1, torch.relu), lambda x: np.maximum(x, 0)),
    "square": (Target("square", 1, torch.square), lambda x: x * x),
    "maximum": (Target("maximum", 2, torch.maximum), np.maximum),
}
# A coarse grid makes ties v = f and |v - f| = eta / 2 common.
NUMBERS = st.one_of(st.integers(-8, 8).map(lambda n: n / 4), st.floats(-3, 3, width=32))
SIZES = st.one_of(st.sampled_from([0.25, 0.5, 1.0]), st.floats(0.001, 2))


class Problem(NamedTuple):
    """Initial estimate [N], currents [T, N] per operand, step sizes and thresholds, target.

    Step sizes and thresholds have shape [T] or [T, N].
    """

    initial: Array
    currents: list[Array]
    step_sizes: Array
    thresholds: Array
    target: str
    alphabet: str

    def scan(self, start: int = 0, stop: int | None = None, estimate: Any = None) -> Block:
        eta, theta = (a.reshape(len(a), -1) for a in (self.step_sizes, self.thresholds))
        return scan(
            torch.from_numpy(self.initial) if estimate is None else estimate,
            [torch.from_numpy(x[start:stop]) for x in self.currents],
            torch.from_numpy(eta[start:stop]),
            torch.from_numpy(theta[start:stop]),
            TARGETS[self.target][0],
            ALPHABETS[self.alphabet],
        )

    def goals(self) -> Array:
        """f(x(t)) + theta(t), which the neurons compare with v(t-1)."""
        theta = self.thresholds.reshape(len(self.thresholds), -1)
        return TARGETS[self.target][1](*self.currents) + theta

    def trajectory(self) -> Array:
        """v(0) .. v(T) as `scan` makes them."""
        return np.cumsum([self.initial, *self.scan().increments.numpy()], axis=0)


@st.composite
def problems(draw: st.DrawFn, alphabet: str | None = None) -> Problem:
    neurons, steps = draw(st.integers(1, 5)), draw(st.integers(1, 10))
    target = draw(st.sampled_from(list(TARGETS)))

    def numbers(values: st.SearchStrategy[float], *shape: int) -> Array:
        count = int(np.prod(shape))
        return np.array(draw(st.lists(values, min_size=count, max_size=count))).reshape(shape)

    shape = (steps, neurons) if draw(st.booleans()) else (steps,)
    return Problem(
        numbers(NUMBERS, neurons),
        [numbers(NUMBERS, steps, neurons) for _ in range(TARGETS[target][0].arity)],
        numbers(SIZES, *shape),
        numbers(NUMBERS, *shape) if draw(st.booleans()) else np.zeros(shape),
        target,
        alphabet or draw(st.sampled_from(list(ALPHABETS))),
    )


def by_the_equations(problem: Problem) -> tuple[Array, list[Array], list[Array]]:
    """Fire s = [v >= f + theta], update v -= eta (2 s - 1); ternary spikes have a dead zone."""
    v, spikes, increments = problem.initial.copy(), [], []
    for t in range(len(problem.step_sizes)):
        f = problem.goals()[t]
        eta = np.broadcast_to(problem.step_sizes[t], v.shape)
        if problem.alphabet == "binary":
            s = (v >= f).astype(np.float64)
            sigma = 2 * s - 1
        else:
            sigma = np.where(np.abs(v - f) <= eta / 2, 0.0, np.sign(v - f))
            s = np.abs(sigma)
        spikes.append(s)
        increments.append(-eta * sigma)
        v = v - eta * sigma
    return v, spikes, increments


@given(problems())
@settings(max_examples=200, deadline=None)
def test_scan_is_the_equations(problem: Problem) -> None:
    v, spikes, increments = by_the_equations(problem)
    block = problem.scan()
    assert block.spikes.dtype is torch.bool
    np.testing.assert_array_equal(block.estimate.numpy(), v)
    np.testing.assert_array_equal(block.spikes.numpy(), np.array(spikes, bool))
    np.testing.assert_array_equal(block.increments.numpy(), increments)


@given(problems(), st.integers(1, 10))
@settings(max_examples=100, deadline=None)
def test_any_split_into_blocks_is_one_scan(problem: Problem, block: int) -> None:
    whole = problem.scan()
    estimate, parts = None, []
    for start in range(0, len(problem.step_sizes), block):
        parts.append(problem.scan(start, start + block, estimate))
        estimate = parts[-1].estimate
    assert estimate is not None and torch.equal(estimate, whole.estimate)
    assert torch.equal(torch.cat([part.spikes for part in parts]), whole.spikes)
    assert torch.equal(torch.cat([part.increments for part in parts]), whole.increments)


@given(problems())
@settings(max_examples=100, deadline=None)
def test_reach_is_the_sum_of_step_sizes(problem: Problem) -> None:
    travelled = np.abs(problem.scan().estimate.numpy() - problem.initial)
    assert (travelled <= problem.step_sizes.sum(0) * (1 + 1e-12) + 1e-12).all()


@given(problems())
@settings(max_examples=100, deadline=None)
def test_no_step_leads_away_by_more_than_the_error_or_the_step(problem: Problem) -> None:
    """|v(t) - f| <= max(|v(t-1) - f|, eta); a ternary spike never leads away at all."""
    v, goals = problem.trajectory(), problem.goals()
    before, after = np.abs(v[:-1] - goals), np.abs(v[1:] - goals)
    eta = problem.step_sizes.reshape(len(goals), -1)
    bound = before if problem.alphabet == "ternary" else np.maximum(before, eta)
    assert (after <= bound + 1e-12).all()


@given(problems("ternary"))
@settings(max_examples=100, deadline=None)
def test_ternary_neurons_are_silent_in_the_dead_zone_only(problem: Problem) -> None:
    v, goals, block = problem.trajectory(), problem.goals(), problem.scan()
    eta = problem.step_sizes.reshape(len(goals), -1)
    distance = np.abs(v[:-1] - goals)
    inside, outside = distance < eta / 2 - 1e-9, distance > eta / 2 + 1e-9
    spikes = block.spikes.numpy()
    assert not spikes[inside].any() and spikes[outside].all()
    assert (block.increments.numpy()[inside] == 0).all()


@given(
    decay=st.floats(0.5, 1),
    steps=st.integers(1, 24),
    start=st.floats(-2, 2),
    where=st.floats(-1, 1),
)
@settings(max_examples=200, deadline=None)
def test_geometric_steps_reach_every_goal_within_the_last_step(
    decay: float, steps: int, start: float, where: float
) -> None:
    """If |v(0) - f| <= R(0), then |v(T) - f| <= eta(T), with R(t) = sum_{s>t} eta(s) + eta(T).

    By induction |v(t) - f| <= R(t): a step takes eta(t) off an error of at least eta(t), and
    turns a smaller one into at most eta(t), which is at most R(t) since the decay is at least
    one half. R(T) = eta(T).
    """
    eta = SCHEDULES["exponential"](steps, 1.0, decay)
    goal = start + where * (eta.sum() + eta[-1])
    identity = Target("identity", 1, lambda x: x)
    currents = torch.full((steps, 1), goal, dtype=torch.float64)
    block = scan(
        torch.tensor([start], dtype=torch.float64),
        [currents],
        torch.from_numpy(eta)[:, None],
        torch.zeros(steps),
        identity,
        ALPHABETS["binary"],
    )
    assert abs(float(block.estimate) - goal) <= eta[-1] + 1e-12


def test_schedules() -> None:
    np.testing.assert_allclose(
        SCHEDULES["exponential"](4, 0.2, 0.5), [0.2, 0.1, 0.05, 0.025], rtol=1e-15
    )
    np.testing.assert_allclose(SCHEDULES["inverse"](3, 0.6), [0.3, 0.2, 0.15], rtol=1e-15)
    np.testing.assert_array_equal(SCHEDULES["constant"](3, 0.6), [0.6, 0.6, 0.6])
    paper = SCHEDULES["exponential"](2000)
    np.testing.assert_allclose(paper[:2], [0.15, 0.15 * 0.95])
    assert paper.shape == (2000,) and paper.sum() == pytest.approx(3.0)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("step_size", [0.0, -1.0, float("nan"), float("inf")])
def test_step_sizes_must_be_positive(name: str, step_size: float) -> None:
    with pytest.raises(UsageError, match="step size"):
        SCHEDULES[name](3, step_size)


@pytest.mark.parametrize("decay", [0.0, -0.5, 1.5, float("nan")])
def test_decays_must_lie_in_the_unit_interval(decay: float) -> None:
    with pytest.raises(UsageError, match="decay"):
        SCHEDULES["exponential"](3, 0.1, decay)
