"""The gradient of firing: same spikes forward, the documented slopes backward."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from onnx2snn.ops.dynamics import ALPHABETS, scan
from onnx2snn.ops.surrogate import DAMPING, scan_differentiable
from onnx2snn.ops.target import Target

IDENTITY = Target("identity", 1, lambda x: x)


def fired(alphabet, estimate, target, step_size):
    """One step of neurons that chase `target`."""
    steps, nothing = step_size[None], torch.zeros(1, dtype=step_size.dtype)
    return scan_differentiable(
        estimate, [target[None]], steps, nothing, IDENTITY, ALPHABETS[alphabet]
    )


@given(
    st.sampled_from(list(ALPHABETS)),
    st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=6),
    st.lists(st.floats(0.0625, 2, width=32), min_size=1, max_size=5),
)
@settings(max_examples=100, deadline=None)
def test_spikes_and_steps_are_those_of_the_dynamics(alphabet, values, step_sizes):
    estimate, steps = torch.tensor(values), torch.tensor(step_sizes)
    currents = torch.stack([estimate.roll(t + 1) for t in range(len(steps))])
    by_neuron = steps[:, None].expand(currents.shape)
    for eta, theta in ((steps, 0.1 * steps), (by_neuron, -0.1 * by_neuron)):
        site = (estimate, [currents], eta, theta, IDENTITY, ALPHABETS[alphabet])
        plain, differentiable = scan(*site), scan_differentiable(*site)
        assert torch.equal(plain.spikes.float(), differentiable.spikes)
        assert torch.equal(plain.increments, differentiable.increments)
        assert torch.equal(plain.estimate, differentiable.estimate)


def gradients(alphabet, excess, step_size):
    estimate = torch.tensor([excess], requires_grad=True)
    target = torch.zeros(1, requires_grad=True)
    step = torch.tensor(step_size, requires_grad=True)
    fired(alphabet, estimate, target, step).increments.sum().backward()
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
        return fired(alphabet, excess, torch.zeros_like(excess), moved["step"]).spikes.mean()

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
        return fired(alphabet, excess, torch.zeros_like(excess), step).estimate.square().mean()

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
    block = scan_differentiable(
        torch.zeros(2), [currents], steps, torch.zeros(4), IDENTITY, ALPHABETS[alphabet]
    )
    block.estimate.sum().backward()
    assert target.grad.tolist() == pytest.approx([DAMPING, DAMPING])


@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_gradients_over_several_steps_are_those_of_one_step_after_another(alphabet):
    """The scan's own backward pass against PyTorch's through single steps, all inputs at once."""
    generator = torch.Generator().manual_seed(0)

    def leaf(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    estimate, currents, thresholds = leaf(5, 3), leaf(4, 5, 3), leaf(4, 3)
    steps = leaf(4, 3).detach().abs().add(0.2).requires_grad_()
    weights = [leaf(*shape).detach() for shape in ((5, 3), (4, 5, 3), (4, 5, 3))]
    fire = ALPHABETS[alphabet]

    def gradients_of(estimate_, increments, spikes):
        results = (estimate_, increments, spikes)
        loss = sum((x * w).sum() for x, w in zip(results, weights, strict=True))
        return torch.autograd.grad(loss, (estimate, currents, thresholds, steps))

    whole = scan_differentiable(estimate, [currents], steps, thresholds, IDENTITY, fire)
    v, parts = estimate, []
    for t in range(4):
        site = (v, [currents[t : t + 1]], steps[t : t + 1], thresholds[t : t + 1], IDENTITY, fire)
        parts.append(scan_differentiable(*site))
        v = v + parts[-1].increments[0]
    apart = [
        torch.cat([getattr(part, name) for part in parts]) for name in ("increments", "spikes")
    ]
    for found, expected in zip(gradients_of(*whole), gradients_of(v, *apart), strict=True):
        torch.testing.assert_close(found, expected)
