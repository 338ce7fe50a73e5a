"""Parameters that follow from the ANN's activations alone, without a walk.

The paper's preset scales ReLU per neuron and nothing else; IF and LIF neurons have thresholds
that are balanced per layer or channel (Diehl et al., 2015; Rueckauer et al., 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from onnx2snn.calibration.exact import Activation
from onnx2snn.calibration.walk import SiteParameters
from onnx2snn.ops.errors import UsageError
from onnx2snn.runtime.plan import Plan, SiteStep

THRESHOLDS = ("layer", "channel")
# Neurons that calibration data excite less than this keep a scale of 1 (golden/README.md).
SMALLEST_SCALE = 1e-5
# Values of a site, per channel or layer, that a percentile is taken of.
MOST_VALUES = 1 << 22

Course = NDArray[np.float64]
Feed = Mapping[str, NDArray[Any]]


def neuron_peaks(found: Iterable[Activation]) -> dict[str, Tensor]:
    """The largest value of every neuron over all samples, by site; axis 0 counts samples."""
    peaks: dict[str, Tensor] = {}
    for site, values, _ in found:
        largest = values.amax(0) if values.dim() else values
        peaks[site] = torch.maximum(peaks[site], largest) if site in peaks else largest
    return peaks


def group_peaks(
    found: Iterable[Activation], threshold: str, percentile: float
) -> dict[str, Tensor]:
    """A percentile of every layer or channel over all samples, by site, ready to broadcast."""
    kept: dict[str, list[Tensor]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for site, values, axis in found:
        own = threshold == "channel" and axis is not None and values.dim() >= -axis
        grouped = values.movedim(axis, 0).flatten(1) if own and axis else values.reshape(1, -1)
        shapes[site] = (len(grouped), *(1,) * (-axis - 1)) if own and axis else ()
        if percentile >= 100:
            grouped = grouped.amax(1, keepdim=True)
        elif sum(part.numel() for part in kept.get(site, [])) > MOST_VALUES:
            continue
        kept.setdefault(site, []).append(grouped)
    return {
        site: _percentile(torch.cat(parts, 1), percentile).reshape(shapes[site])
        for site, parts in kept.items()
    }


def _percentile(values: Tensor, percentile: float) -> Tensor:
    """Per row, the smallest value that `percentile` percent of them do not exceed."""
    rank = max(1, int(np.ceil(percentile / 100 * values.shape[1])))
    return values.kthvalue(rank, dim=1).values


def scale_of(peaks: Tensor) -> Tensor:
    """The peaks, 1 where they are next to nothing."""
    return torch.where(peaks > SMALLEST_SCALE, peaks, torch.ones_like(peaks))


def _parameters(plan: Plan, build: Callable[[SiteStep], SiteParameters]) -> dict[str, Any]:
    return {step.site.name: build(step) for step in plan.sites}


def paper_parameters(
    plan: Plan, peaks: Mapping[str, Tensor], step_sizes: Course
) -> dict[str, SiteParameters]:
    """v(0) = 0, the same step sizes everywhere, ReLU scaled by its neurons' peaks."""
    steps = torch.from_numpy(step_sizes)

    def build(step: SiteStep) -> SiteParameters:
        one = torch.ones((), dtype=torch.float64)
        scale = scale_of(peaks[step.site.name]) if step.source.op_type == "SpikingRelu" else one
        return SiteParameters(scale, torch.zeros_like(one), steps, torch.zeros_like(steps))

    return _parameters(plan, build)


def integrating_parameters(
    plan: Plan, peaks: Mapping[str, Tensor], feed: Feed, eta: Course, theta: Course
) -> dict[str, SiteParameters]:
    """Thresholds are the peaks; a Poisson input fires always at the largest of its samples.

    eta, theta: as `ops.schedule.integration` gives them.
    """
    rates, levels = torch.from_numpy(eta), torch.from_numpy(theta)

    def build(step: SiteStep) -> SiteParameters:
        zero = torch.zeros((), dtype=torch.float64)
        if step.site.coding:
            largest = float(np.abs(feed[step.source.inputs[0]]).max(initial=0.0))
            scale = scale_of(torch.tensor(largest, dtype=torch.float64))
            return SiteParameters(scale, zero, rates, torch.zeros_like(rates))
        return SiteParameters(scale_of(peaks[step.site.name]), zero, rates, levels)

    return _parameters(plan, build)


def check_integration(percentile: float, membrane: float, tau: float, seed: int) -> None:
    """Raise UsageError for settings of integrate-and-fire neurons that are out of range."""
    if not 0 < percentile <= 100:
        raise UsageError(f"percentile is {percentile}; it must lie above 0 and up to 100")
    if not 0 <= membrane < 1:
        raise UsageError(f"membrane is {membrane}; it must lie from 0 up to, not at, 1")
    if not 1 < tau < float("inf"):
        raise UsageError(f"tau is {tau}; it must be more than one time step")
    if not 0 <= seed < 1 << 31:
        raise UsageError(f"seed is {seed}; it must be a number from 0 to {(1 << 31) - 1}")
