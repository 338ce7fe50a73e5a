"""How much of the linear part of a function passes by its neurons."""

from __future__ import annotations

from dataclasses import replace
from math import frexp, isfinite, ldexp

import onnx
from torch import Tensor

from onnx2snn.bypass import with_slope
from onnx2snn.calibration.ann import Feed, activations
from onnx2snn.calibration.values import first_samples, single, with_open_batch
from onnx2snn.ops.operator import PASSING
from onnx2snn.ops.passing import linear_part, normalises
from onnx2snn.ops.target import Target
from onnx2snn.runtime.graph import Graph
from onnx2snn.runtime.plan import Plan

# One number is fitted to all values of a site.
SAMPLES = 32
# Of the standard deviation of f, what must not be left for neurons to send.
MOST_LEFT = 0.75
# How far beyond the data a function must still follow its argument.
FAR = 1e4
# Binary digits of a slope. Sites whose slopes are the same share a compiled kernel, and what
# rounding adds to d is far below what d has.
DIGITS = 4


def slope(target: Target, x: Tensor) -> float:
    """c = cov(l(x), f(x)) / var(l(x)), rounded; 0 where f is not much of a line.

    Nor is one that levels off, but for normalisations: beyond the data, what is left of it would
    grow without end.
    """
    part, whole = linear_part(target, x).double(), target(x).double()
    if part.shape != whole.shape or part.numel() < 2:
        return 0.0
    if not normalises(target) and not _grows(target, x):
        return 0.0
    part, whole = part - part.mean(), whole - whole.mean()
    found = _rounded(float((part * whole).mean() / part.square().mean()))
    left = float((whole - found * part).square().mean() / whole.square().mean())
    return found if left <= MOST_LEFT**2 else 0.0


def _grows(target: Target, x: Tensor) -> bool:
    """Whether f follows x far beyond the data."""
    near, far = (float(target(factor * x).abs().max()) for factor in (1.0, FAR))
    return isfinite(far) and far > near * FAR**0.5


def _rounded(number: float) -> float:
    fraction, exponent = frexp(number)
    return ldexp(round(ldexp(fraction, DIGITS)), exponent - DIGITS) if isfinite(number) else number


def fitted(graph: Graph, plan: Plan, canonical: onnx.ModelProto, feed: Feed) -> Graph:
    """The matched graph with the slopes of all that passes, by the ANN's values on some samples."""
    passed = {s.source.name: s for s in plan.sites if s.source.attributes.get(PASSING)}
    if not passed:
        return graph
    known = {value.name for value in canonical.graph.input}
    known.update(name for node in canonical.graph.node for name in node.output)
    names = {s.source.inputs[0] for s in passed.values()} & known
    some = first_samples(feed, SAMPLES)
    values = activations(with_open_batch(canonical), sorted(names), some)
    slopes = {}
    for name, step in passed.items():
        remainder, x = step.site.target.remainder, values.get(step.source.inputs[0])
        slopes[name] = 0.0 if remainder is None or x is None else slope(remainder.whole, single(x))
    nodes = (with_slope(n, slopes[n.name]) if n.name in slopes else n for n in graph.nodes)
    return replace(graph, nodes=tuple(nodes))
