"""The gradient of firing: same spikes forward, the documented slopes backward."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from onnx2snn.ops.dynamics import ALPHABETS, scan
from onnx2snn.ops.surrogate import DAMPING, DIFFERENTIABLE
from onnx2snn.ops.target import Target

IDENTITY = Target("identity", 1, lambda x: x)


@given(
    st.sampled_from(list(ALPHABETS)),
    st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=6),
    st.floats(0.0625, 2, width=32),
)
@settings(max_examples=100, deadline=None)
def test_spikes_and_steps_are_those_of_the_dynamics(alphabet, values, step_size):
    estimate, target = torch.tensor(values), torch.tensor(values).flip(0)
    for step in (torch.tensor(step_size), torch.full_like(estimate, step_size)):
        plain = ALPHABETS[alphabet](estimate, target, step)
        differentiable = DIFFERENTIABLE[alphabet](estimate, target, step)
        assert torch.equal(plain.spikes.float(), differentiable.spikes)
        assert torch.equal(plain.increment, differentiable.increment)


def gradients(alphabet, excess, step_size):
    estimate = torch.tensor([excess], requires_grad=True)
    target = torch.zeros(1, requires_grad=True)
    step = torch.tensor(step_size, requires_grad=True)
    increment = DIFFERENTIABLE[alphabet](estimate, target, step).increment
    increment.sum().backward()
    return float(estimate.grad), float(target.grad), float(step.grad)


@pytest.mark.parametrize(
    ("alphabet", "excess", "expected"),
    [
        ("binary", 0.3, (-1, DAMPING, -1)),
        ("binary", -0.3, (-1, DAMPING, 1)),
        ("binary", 1.7, (0, 0, -1)),
        ("ternary", 0.3, (-1, DAMPING, 0.5)),
        ("ternary", -0.3, (-1, DAMPING, -0.5)),
        ("ternary", 0.7, (-1, DAMPING, -0.5)),
        ("ternary", 1.7, (0, 0, -1)),
    ],
)
def test_slopes(alphabet, excess, expected):
    assert gradients(alphabet, excess, 1.0) == pytest.approx(expected)


@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize("knob", ["step", "shift"])
def test_slope_of_the_number_of_spikes_is_that_of_its_mean(alphabet, knob):
    """Errors spread evenly over [-0.5, 2]: moving all of them, or the step size, moves counts."""
    spread = torch.linspace(-0.5, 2, 50001, dtype=torch.float64)
    knobs = {
        name: torch.tensor(x, dtype=torch.float64) for name, x in (("step", 0.8), ("shift", 0))
    }

    def rate(change):
        moved = {**knobs, knob: knobs[knob] + change}
        excess = spread + moved["shift"]
        return DIFFERENTIABLE[alphabet](
            excess, torch.zeros_like(excess), moved["step"]
        ).spikes.mean()

    change = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(rate(change), change, allow_unused=True)
    with torch.no_grad():
        difference = (rate(change + 0.02) - rate(change - 0.02)) / 0.04
    assert float(slope) == pytest.approx(float(difference), abs=0.15)


@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_slope_to_the_step_size_is_that_of_the_mean(alphabet):
    """Over evenly spread errors, d E[increment^2] / d eta is that of a finite difference."""
    excess = torch.linspace(-2, 2, 40001, dtype=torch.float64)

    def energy(step):
        increment = DIFFERENTIABLE[alphabet](excess, torch.zeros_like(excess), step).increment
        return (excess + increment).square().mean()

    step = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(energy(step), step)
    with torch.no_grad():
        difference = (energy(step + 0.02) - energy(step - 0.02)) / 0.04
    assert float(slope) == pytest.approx(float(difference), abs=0.02)


@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_a_settled_estimate_follows_its_target(alphabet):
    """With every |u| < eta, d v(T) / d f is the damping, whatever came before."""
    target = torch.tensor([0.3, -0.2], requires_grad=True)
    steps = torch.tensor([0.5, 0.3, 0.2, 0.1])[:, None]
    currents = target.expand(4, 2)
    block = scan(
        torch.zeros(2), [currents], steps, torch.zeros(4), IDENTITY, DIFFERENTIABLE[alphabet]
    )
    block.estimate.sum().backward()
    assert target.grad.tolist() == pytest.approx([DAMPING, DAMPING])
