"""What a session keeps from one call to the next changes no call's results."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from session_models import MODELS, feed, spiking

from onnx2snn.runtime import start
from onnx2snn.runtime.session import SpikingSession
from onnx2snn.runtime.start import steady_steps
from onnx2snn.runtime.threads import one_thread


@pytest.mark.parametrize("kept", [start.KEPT, {}])
@pytest.mark.parametrize("name", MODELS)
def test_later_calls_are_as_the_first(
    name: str, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "KEPT", kept)
    used = SpikingSession(spiking(name), device="cpu")
    for seed, samples in ((1, 3), (2, 3), (3, 2), (1, 3)):
        arrays = feed(name, samples, seed)
        fresh = SpikingSession(spiking(name), device="cpu")
        (found,), (expected,) = (s.simulate(arrays, [s.time_steps]) for s in (used, fresh))
        assert found.account == expected.account
        for output, array in expected.outputs.items():
            np.testing.assert_array_equal(found.outputs[output], array)


def test_what_sees_the_data_runs_again() -> None:
    session = SpikingSession(spiking("conv_net"), device="cpu")
    plan = session._plan
    steady = steady_steps(plan)
    first, _, third, *_ = (i for i, step in enumerate(plan.steps) if step in plan.sites)
    assert first not in steady and third + 1 in steady


def test_sites_keep_the_order_of_the_graph() -> None:
    session, arrays = SpikingSession(spiking("conv_net"), device="cpu"), feed("conv_net", 2)
    seen: list[list[str]] = []
    for _ in range(2):
        session.simulate(arrays, [1], probe=lambda state: seen.append(list(state.spikes)))
    names = [step.site.name for step in session.plan.sites]
    assert all(order == names for order in seen)


def test_one_thread_is_given_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread(False):
            assert torch.get_num_threads() == 2
        with pytest.raises(ValueError), one_thread(True):
            assert torch.get_num_threads() == 1
            raise ValueError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
