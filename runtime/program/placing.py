"""Where the buffers of a program lie in its memory."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence

from onnx2snn.runtime.program.signal import Buffer

ALIGNMENT = 64
# Bytes that buffers take for themselves, and the most that they spread over: what fits into the
# second-level caches of a few cores.
OWN, SPREAD = 2 << 20, 4 << 20


def aligned(size: int) -> int:
    """Bytes of so many, up to the next cache line."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def placed(buffers: Sequence[Buffer]) -> tuple[dict[Buffer, int], int]:
    """Where buffers lie, in bytes, those alive at once apart; and the bytes of all.

    A thread does the same part of an instruction at every call, so a buffer's lines stay in that
    thread's cache unless others share its memory, whose parts end elsewhere. Small buffers
    therefore lie apart, or share with those of their own size; large ones, which leave the cache
    in any case, take as little memory as they can.
    """
    places, room = _spread(buffers)
    return (places, room) if room <= SPREAD else _packed(buffers)


def _spread(buffers: Sequence[Buffer]) -> tuple[dict[Buffer, int], int]:
    """Each in memory of its own while there is some, then where one of its size was."""
    places: dict[Buffer, int] = {}
    alive: list[Buffer] = []
    free: defaultdict[int, deque[int]] = defaultdict(deque)
    room = 0
    for buffer in buffers:
        for other in [other for other in alive if other.last < buffer.first]:
            free[_bytes(other)].append(places[other])
            alive.remove(other)
        size = _bytes(buffer)
        if free[size] and room + size > OWN:
            places[buffer] = free[size].popleft()
        else:
            places[buffer], room = room, room + size
        alive.append(buffer)
    return places, room


def _packed(buffers: Sequence[Buffer]) -> tuple[dict[Buffer, int], int]:
    """Each at the first gap that is large enough."""
    places: dict[Buffer, int] = {}
    alive: list[Buffer] = []
    room = 0
    for buffer in buffers:
        alive = [other for other in alive if other.last >= buffer.first]
        start = 0
        for other in sorted(alive, key=places.__getitem__):
            if start + _bytes(buffer) <= places[other]:
                break
            start = max(start, places[other] + _bytes(other))
        places[buffer] = start
        alive.append(buffer)
        room = max(room, start + _bytes(buffer))
    return places, room


def _bytes(buffer: Buffer) -> int:
    """With a vector more than asked for, since kernels read whole ones."""
    return aligned(4 * buffer.size) + ALIGNMENT
