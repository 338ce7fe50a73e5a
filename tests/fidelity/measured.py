"""What the fidelity tests compared, for the summary that pytest prints at its end."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass


@dataclass
class Tally:
    """Values compared, how many of them differ, and the largest difference."""

    compared: int = 0
    different: int = 0
    largest: float = 0.0

    def add(self, other: Tally) -> None:
        self.compared += other.compared
        self.different += other.different
        self.largest = max(self.largest, other.largest)


_tallies: defaultdict[str, Tally] = defaultdict(Tally)


def record(name: str, compared: int, different: int = 0, largest: float = 0.0) -> None:
    """Of the test that runs; plain numbers, which travel between processes."""
    _tallies[name].add(Tally(int(compared), int(different), float(largest)))


def take() -> dict[str, Tally]:
    """All that was recorded since the last call."""
    taken = dict(_tallies)
    _tallies.clear()
    return taken
