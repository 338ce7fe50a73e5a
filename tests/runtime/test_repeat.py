"""A call like the one before does less in Python, and comes to the same."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from session_models import feed, spiking

from onnx2snn.ops.errors import DataError, UsageError
from onnx2snn.runtime.fused.build import compiler
from onnx2snn.runtime.session import SpikingSession

pytestmark = pytest.mark.skipif(compiler() is None, reason="needs a C compiler")
MODEL = "residual_mlp"


@pytest.fixture
def session() -> SpikingSession:
    opened = SpikingSession(spiking(MODEL), device="cpu", block=3)
    for _ in range(2):
        opened.run(None, feed(MODEL, 3))
    assert opened._repeats
    return opened


def expected(arrays: dict, time_steps: int | None = None) -> np.ndarray:
    """What a session of its own says, which has not been called before."""
    fresh = SpikingSession(spiking(MODEL), device="cpu", block=3)
    fresh.run(None, {name: np.zeros_like(x) for name, x in arrays.items()})
    return fresh.run(None, arrays, time_steps=time_steps)[0]


def changed(samples: int, seed: int = 5) -> dict:
    return feed(MODEL, samples, seed)


@pytest.mark.parametrize("time_steps", [None, 1, 4])
def test_other_data_of_the_same_shapes(session: SpikingSession, time_steps: int | None) -> None:
    for seed in range(4):
        found = session.run(None, changed(3, seed), time_steps=time_steps)[0]
        np.testing.assert_array_equal(found, expected(changed(3, seed), time_steps))


def test_results_are_the_callers_own(session: SpikingSession) -> None:
    first = session.run(None, changed(3))[0]
    kept = first.copy()
    session.run(None, changed(3, 6))
    np.testing.assert_array_equal(first, kept)


def test_feeds_of_another_form(session: SpikingSession) -> None:
    arrays = changed(3)
    forms = (
        {name: x.astype(np.float64) for name, x in arrays.items()},
        {name: np.asfortranarray(x) for name, x in arrays.items()},
    )
    for form in forms:
        np.testing.assert_array_equal(session.run(None, form)[0], expected(arrays))
    for samples in (5, 3):
        found = session.run(None, changed(samples))[0]
        np.testing.assert_array_equal(found, expected(changed(samples)))


def test_bad_feeds_are_refused_as_ever(session: SpikingSession) -> None:
    arrays = changed(3)
    bad = {name: np.where(x == x.max(), np.float32(np.nan), x) for name, x in arrays.items()}
    for refused in (bad, {}, {**arrays, "more": arrays[next(iter(arrays))]}):
        with pytest.raises(DataError):
            session.run(None, refused)
    np.testing.assert_array_equal(session.run(None, arrays)[0], expected(arrays))


def test_longer_blocks_in_between_take_other_memory() -> None:
    session = SpikingSession(spiking(MODEL), device="cpu")
    arrays = changed(64)
    for _ in range(2):
        first = session.run(None, arrays, time_steps=1)[0]
    (repeat,) = session._repeats.values()
    session.simulate(arrays, [session.time_steps])
    assert repeat.room.buffers is not repeat.buffers
    assert repeat(arrays) is None
    np.testing.assert_array_equal(session.run(None, arrays, time_steps=1)[0], first)


@pytest.mark.parametrize("time_steps", [True, 1.0])
def test_bad_time_steps_are_refused_as_ever(session: SpikingSession, time_steps: object) -> None:
    session.run(None, changed(3), time_steps=1)
    with pytest.raises(UsageError):
        session.run(None, changed(3), time_steps=time_steps)


def test_callers_at_once_have_rooms_of_their_own(session: SpikingSession) -> None:
    answers = [expected(changed(3, seed)) for seed in range(4)]
    session.run(None, changed(3))
    threads = torch.get_num_threads()

    def caller(seed: int) -> bool:
        torch.set_num_threads(threads)
        found = [session.run(None, changed(3, seed))[0] for _ in range(50)]
        return all(np.array_equal(x, answers[seed]) for x in found)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(caller, range(4)))
