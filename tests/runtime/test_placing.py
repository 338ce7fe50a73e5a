"""Where the buffers of a program lie."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from onnx2snn.runtime.program.placing import OWN, SPREAD, placed
from onnx2snn.runtime.program.signal import Buffer

LIVES = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 5)), min_size=1, max_size=30)


def buffers(lives: list[tuple[int, int]], unit: int) -> list[Buffer]:
    """One per instruction, of so many units, for so many instructions more."""
    return [Buffer(unit * size, i, i + more) for i, (size, more) in enumerate(lives)]


def at_once(a: Buffer, b: Buffer) -> bool:
    return a.first <= b.last and b.first <= a.last


@given(LIVES, st.sampled_from([10, OWN // 40, OWN, SPREAD]))
def test_buffers_alive_at_once_lie_apart(lives: list[tuple[int, int]], unit: int) -> None:
    found = buffers(lives, unit)
    places, room = placed(found)
    for a, b in combinations(found, 2):
        if at_once(a, b):
            assert places[a] + 4 * a.size <= places[b] or places[b] + 4 * b.size <= places[a]
    assert all(places[b] % 64 == 0 and places[b] + 4 * b.size <= room for b in found)


@given(LIVES)
def test_small_buffers_share_with_none(lives: list[tuple[int, int]]) -> None:
    found = buffers(lives, 100)
    assert len({placed(found)[0][buffer] for buffer in found}) == len(found)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 1)), min_size=30, max_size=60))
def test_buffers_beyond_that_share_with_their_size(lives: list[tuple[int, int]]) -> None:
    found = buffers(lives, OWN // 80)
    places, room = placed(found)
    assert room <= SPREAD
    for a, b in combinations(found, 2):
        if a.size != b.size:
            assert places[a] + 4 * a.size <= places[b] or places[b] + 4 * b.size <= places[a]


def test_large_buffers_take_the_first_gap() -> None:
    found = [Buffer(SPREAD * size, i, i + 1) for i, size in enumerate((2, 1, 1, 2))]
    places, room = placed(found)
    assert places[found[2]] == 0
    assert room < 13 * SPREAD
