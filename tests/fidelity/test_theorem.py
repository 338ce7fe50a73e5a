"""IF and LIF follow the sub-gradient method, signGD follows sign descent, step for step.

Derived anew from the membrane (METHOD section 6; Oh & Lee, ICML 2024, section 3). With
L(y; x) = max(R x / Theta - y, 0) + y^2 / 2 and 1[.] the indicator,

    F(t) = F(t-1) - eta g,   g = F(t-1) - s(t),   s(t) = 1[R X(t) / Theta >= F(t-1)]

where g is a sub-gradient of L(.; X(t)) at F(t-1), and

    IF:   eta = 1 / (t + 1),  F(t) = t / (t + 1) Y(t) + (1 - u(0) / Theta) / (t + 1)
    LIF:  eta = e = 1 / tau,  F(t) = Y(t) + (1 - e)^t (1 - h) e, h e / (1-e) Theta being w(0)

X and Y are the means (exponential moving averages) of the input current and of the spikes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from measured import record

from onnx2snn.ops.dynamics import ALPHABETS, scan
from onnx2snn.ops.gelu import paper_gelu
from onnx2snn.ops.layer_normalization import paper_quotient
from onnx2snn.ops.neurons import Drive, scan_current, scan_integrating, scan_predicate
from onnx2snn.ops.relu import relu
from onnx2snn.ops.schedule import SCHEDULES, integration

Array = np.ndarray[Any, Any]
TIE = 1e-12
EXAMPLES = settings(max_examples=300, deadline=None)


class Neuron(NamedTuple):
    """A neuron and the currents I(1) .. I(T) that random spikes make at its synapses."""

    currents: Array
    resistance: float
    theta: float
    membrane: float
    tau: float | None


@st.composite
def neurons(draw: st.DrawFn, leaky: bool) -> Neuron:
    """Spike trains of a few synapses with random weights, and a bias."""
    steps, synapses = draw(st.integers(1, 60)), draw(st.integers(1, 5))
    weights = draw(st.lists(st.floats(-2, 2), min_size=synapses, max_size=synapses))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rates = draw(st.lists(st.floats(0, 1), min_size=synapses, max_size=synapses))
    spikes = rng.random((steps, synapses)) < np.array(rates)
    return Neuron(
        spikes @ np.array(weights) + draw(st.floats(-1, 1)),
        draw(st.floats(0.1, 3)),
        draw(st.floats(0.1, 3)),
        draw(st.floats(0, 1, exclude_max=True)),
        draw(st.floats(1.25, 40)) if leaky else None,
    )


def by_the_membrane(neuron: Neuron) -> tuple[Array, Array]:
    """Spikes s(1) .. s(T), and by how much of Theta the membrane passed or missed the threshold."""
    fired, margins = [], []
    if neuron.tau is None:
        leak, gain, threshold = 1.0, 1.0, neuron.theta
    else:
        gain = 1 / neuron.tau
        leak, threshold = 1 - gain, gain * neuron.theta / (1 - gain)
    rest = 0.0 if neuron.tau is None else threshold
    w = neuron.membrane * threshold
    for current in neuron.currents:
        w = leak * w + gain * (rest + neuron.resistance * current)
        fired.append(w >= threshold)
        margins.append((w - threshold) / neuron.theta)
        w -= threshold * fired[-1]
    return np.array(fired), np.array(margins)


def means(values: Array, tau: float | None) -> Array:
    """Running means, or exponential moving averages from 0 on."""
    if tau is None:
        return np.cumsum(values) / np.arange(1, len(values) + 1)
    mean, result = 0.0, []
    for value in values:
        mean += (value - mean) / tau
        result.append(mean)
    return np.array(result)


def assert_sub_gradient_method(f: Array, x: Array, s: Array, eta: Array, scale: Array) -> None:
    """f[t] steps from f[t-1] by -eta g, g = f[t-1] - s[t] in the sub-differential at x[t].

    scale: what margins are multiplied by where rounding decides.
    """
    gradient = f[:-1] - s
    expected = f[:-1] - eta * gradient
    record("steps of the sub-gradient method", len(s), largest=np.abs(f[1:] - expected).max())
    np.testing.assert_allclose(f[1:], expected, rtol=0, atol=1e-12)
    excess = (x - f[:-1]) * scale
    assert (s[excess > TIE * 1e3] == 1).all() and (s[excess < -TIE * 1e3] == 0).all()


@given(neurons(leaky=False))
@EXAMPLES
def test_integrate_and_fire_is_the_sub_gradient_method(neuron: Neuron) -> None:
    s, _ = by_the_membrane(neuron)
    t = np.arange(1, len(s) + 1)
    y = means(s.astype(np.float64), None)
    offset = 1 - neuron.membrane
    f = np.concatenate([[offset], t / (t + 1) * y + offset / (t + 1)])
    x = neuron.resistance / neuron.theta * means(neuron.currents, None)
    assert_sub_gradient_method(f, x, s, 1 / (t + 1), t)


@given(neurons(leaky=True))
@EXAMPLES
def test_leaky_integrate_and_fire_is_the_sub_gradient_method(neuron: Neuron) -> None:
    assert neuron.tau is not None
    s, _ = by_the_membrane(neuron)
    e, t = 1 / neuron.tau, np.arange(len(s) + 1)
    y = np.concatenate([[0.0], means(s.astype(np.float64), neuron.tau)])
    f = y + (1 - e) ** t * (1 - neuron.membrane) * e
    x = neuron.resistance / neuron.theta * means(neuron.currents, neuron.tau)
    assert_sub_gradient_method(f, x, s, np.full(len(s), e), np.ones(len(s)))


@given(st.floats(-3, 3), st.floats(-3, 3))
@EXAMPLES
def test_the_minimiser_is_relu1(x: float, y: float) -> None:
    def loss(y: float) -> float:
        return max(x - y, 0.0) + y * y / 2

    assert loss(min(max(x, 0.0), 1.0)) <= loss(y) + 1e-15


@given(st.one_of(neurons(leaky=False), neurons(leaky=True)), st.integers(1, 60))
@EXAMPLES
def test_the_products_neurons_fire_as_the_membrane_does(neuron: Neuron, block: int) -> None:
    """On means instead of the membrane, in blocks of any length; ties may go either way."""
    s, margins = by_the_membrane(neuron)
    eta, theta = integration(len(s), neuron.tau, neuron.membrane)
    weight = 1.0 if neuron.tau is None else 1 - (1 - 1 / neuron.tau) ** np.arange(1, len(s) + 1)
    x = neuron.resistance * means(neuron.currents, neuron.tau) / weight
    rates = torch.from_numpy(eta)[:, None]
    estimate, fired = torch.zeros(1, dtype=torch.float64), []
    for start in range(0, len(s), block):
        part = slice(start, start + block)
        drive = Drive(
            [torch.from_numpy(x[part])[:, None]],
            neuron.theta * rates[part],
            neuron.theta * torch.from_numpy(theta[part])[:, None],
            rates[: start + block],
            start,
        )
        result = scan_integrating(estimate, drive, relu())
        estimate = result.estimate
        fired.append(result.spikes.numpy()[:, 0])
    found = np.concatenate(fired)
    ties = np.abs(margins).min(initial=1.0) < 1e-10
    record("spikes of IF and LIF", 0 if ties else len(s))
    assert ties or (found == s).all()
    if not ties:
        decoded = neuron.theta * (means(s.astype(np.float64), neuron.tau) / weight)[-1]
        assert float(estimate) == pytest.approx(decoded, abs=1e-11)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("alphabet", ["binary", "paper"])
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 2))
@settings(max_examples=60, deadline=None)
def test_signgd_is_sign_descent(schedule: str, alphabet: str, seed: int, step_size: float) -> None:
    """v(t) = v(t-1) - eta(t) g, g a sub-gradient of |v - f(x(t))| of length 1."""
    rng, steps = np.random.default_rng(seed), 24
    eta = SCHEDULES[schedule](steps, step_size)
    x = torch.from_numpy(rng.normal(size=(steps, 4)))
    x[0] = 0.0
    start, rates = torch.zeros(4, dtype=torch.float64), torch.from_numpy(eta)[:, None]
    nothing = torch.zeros_like(rates)
    if alphabet == "paper":
        target = paper_gelu("none")
        block = scan_predicate(start, Drive([x], rates, nothing, rates), target)
    else:
        target = relu()
        block = scan(start, [x], rates, nothing, target, ALPHABETS["binary"])
    v = np.cumsum(np.concatenate([[start.numpy()], block.increments.numpy()]), axis=0)
    gradient = -block.increments.numpy() / eta[:, None]
    length = np.abs(gradient)
    record("steps of sign descent", gradient.size, largest=np.abs(length - 1).max())
    np.testing.assert_array_equal(length, 1.0)
    error = v[:-1] - target(x).numpy()
    assert (gradient[error > TIE] == 1).all() and (gradient[error < -TIE] == -1).all()
    assert (gradient[0] == (1 if alphabet == "binary" else -1)).all(), "ties"


def test_a_negative_variance_keeps_the_papers_quotient_silent() -> None:
    v, c = torch.tensor([5.0, 5.0, 0.0]), torch.tensor([1.0, 1.0, 0.0])
    fires = paper_quotient(1e-5).fires
    assert fires is not None
    assert fires.function(v, c, torch.tensor([-0.1, 1.0, 1.0])).tolist() == [False, True, False]


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=40), st.floats(-2, 2))
@EXAMPLES
def test_the_papers_input_falls_short_by_the_product_of_what_steps_leave(
    steps: list[float], x: float
) -> None:
    eta = torch.tensor(steps, dtype=torch.float64)[:, None]
    currents = torch.full((len(steps), 1), x, dtype=torch.float64)
    drive = Drive([currents], eta, torch.zeros_like(eta), eta)
    block = scan_current(torch.zeros(1, dtype=torch.float64), drive, relu())
    short = x * np.prod(1 - np.array(steps))
    assert float(block.estimate) == pytest.approx(x - short, abs=1e-12)
    assert not block.spikes.any()


@pytest.mark.parametrize(("tau", "slope"), [(None, -1.0)])
def test_rate_coding_converges_as_one_over_time(tau: float | None, slope: float) -> None:
    """Of a constant current, |v(T) - ReLU1| falls with slope -1 in T, doubly logarithmic."""
    x = torch.from_numpy(np.random.default_rng(0).uniform(-0.5, 1.5, 2000))
    steps = 1024
    eta, theta = (torch.from_numpy(a)[:, None] for a in integration(steps, tau, 0.5))
    drive = Drive([x.expand(steps, -1)], eta, theta, eta)
    block = scan_integrating(torch.zeros_like(x), drive, relu())
    errors = (block.increments.cumsum(0) - x.clamp(0, 1)).abs().mean(1).numpy()
    times = np.array([8, 16, 32, 64, 128, 256, 512, 1024])
    found, _ = np.polyfit(np.log(times), np.log(errors[times - 1]), 1)
    assert found == pytest.approx(slope, abs=0.1)
