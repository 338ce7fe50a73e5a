"""When each site fires: windows of K steps, from all at once to one after another.

A site that waits until its inputs have settled needs fewer steps for the same error, and each
synapse still sees K steps of spikes; what grows is the latency (METHOD section 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from onnx2snn.ops.errors import UsageError
from onnx2snn.runtime.plan import Plan, SiteStep, step_inputs, step_outputs

NAMED_OFFSETS = {"synchronous": 0.0, "sequential": 1.0}


@dataclass(frozen=True)
class Windows:
    """Steps in which the sites fire.

    length: K, steps for which a site fires.
    starts: first step of every site, by its name.
    """

    length: int
    starts: Mapping[str, int]

    @property
    def latency(self) -> int:
        """Steps until the last site is done, T."""
        return max(self.starts.values(), default=0) + self.length


def depths(plan: Plan) -> dict[str, int]:
    """For every site, the number of sites before it on the longest way from the input."""
    reached: dict[str, int] = {}
    found: dict[str, int] = {}
    for step in plan.steps:
        depth = max((reached.get(name, 0) for name in step_inputs(step)), default=0)
        if isinstance(step, SiteStep):
            found[step.site.name] = depth
            depth += 1
        reached.update(dict.fromkeys(step_outputs(step), depth))
    return found


def windows(plan: Plan, length: int, offset: float) -> Windows:
    """Windows of `length` steps; a site starts `offset * length` steps after those before it."""
    starts = {name: round(offset * length * depth) for name, depth in depths(plan).items()}
    return Windows(length, starts)


def parse_offset(text: str) -> float:
    """The offset that "synchronous", "sequential" or a number in [0, 1] stands for."""
    try:
        offset = NAMED_OFFSETS[text] if text in NAMED_OFFSETS else float(text)
    except ValueError:
        offset = -1.0
    if not 0 <= offset <= 1:
        names = ", ".join(NAMED_OFFSETS)
        raise UsageError(f"windows '{text}' is neither one of {names} nor a number from 0 to 1")
    return offset
