"""Kernels over windows against the reference dynamics, and the memory that kernels write to."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from onnx2snn.ops import extremum
from onnx2snn.ops.dynamics import ALPHABETS, Block, scan
from onnx2snn.ops.passing import remainder
from onnx2snn.ops.target import Target
from onnx2snn.ops.windows import Geometry, Windows
from onnx2snn.runtime.fused import build
from onnx2snn.runtime.fused.kernel import Charge, Reading, SiteKernel, site_kernel
from onnx2snn.runtime.fused.layout import CHANNELS_LAST, Layout
from onnx2snn.runtime.fused.triton_kernel import TritonKernel
from onnx2snn.runtime.signals import Course, Signals, Span, accumulate

STEPS, ORDER = 4, CHANNELS_LAST
WINDOWS = Windows((Geometry(3, 2, pads=(1, 1)), Geometry(2)))
TARGET = extremum.largest_in(WINDOWS, 0.0)
SHAPE = torch.Size((2, 20, 7, 6))


class Case(NamedTuple):
    """Overlapping, padded windows over images; tensors in the order of their axes."""

    x: Tensor
    dx: Tensor
    v: Tensor
    eta: Tensor
    theta: Tensor


def case(moving: bool) -> Case:
    draw = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw)

    x, dx = normal(*SHAPE), 0.3 * moving * normal(STEPS, *SHAPE)
    shape = TARGET(x).shape
    return Case(x, dx, normal(*shape), normal(STEPS, *shape).abs(), 0.1 * normal(STEPS, *shape))


def expected(data: Case, alphabet: str, target: Target) -> tuple[Block, Tensor]:
    """What eager code makes of it, and the current at the end."""
    currents = accumulate(data.x, data.dx)
    fire = ALPHABETS[alphabet]
    return scan(data.v, [currents], data.eta, data.theta, target, fire), currents[-1]


def flat(x: Tensor) -> Tensor:
    """In memory's order, any time in front."""
    ahead = x.dim() - len(ORDER)
    return x.permute(*range(ahead), *(i + ahead for i in ORDER)).contiguous()


def reading(order: tuple[int, ...] = ORDER) -> Reading | None:
    layout = Layout(SHAPE, order, 1, torch.empty(0), torch.empty(0))
    return layout.reading(TARGET, SHAPE, torch.device("cpu"))


def check(
    kernel: SiteKernel | TritonKernel, alphabet: str, moving: bool, target: Target = TARGET
) -> None:
    """Sums and maxima are the same numbers, so spikes are the same to the last one."""
    data = case(moving)
    block, end = expected(data, alphabet, target)
    x, v = flat(data.x), flat(data.v)
    changes, result = (flat(data.dx), x.clone()) if moving else (None, None)
    charge = Charge(x, 1, changes, 0, result, reading())
    dv = torch.empty(STEPS, v.numel())
    schedule = [flat(over_time).flatten(1) for over_time in (data.eta, data.theta)]
    spikes = kernel([charge], v, *schedule, (0, STEPS), dv)
    assert int(spikes) == int(block.spikes.sum())
    assert torch.equal(v, flat(block.estimate))
    assert torch.equal(dv.reshape(STEPS, *v.shape), flat(block.increments))
    charge.settle()
    assert result is None or torch.equal(result, flat(end))


@pytest.mark.skipif(build.compiler() is None, reason="no C compiler here")
@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize("moving", [True, False])
@pytest.mark.parametrize("target", [TARGET, remainder(TARGET, 0.6)], ids=["whole", "remainder"])
def test_windows_fire_as_the_reference_does(target: Target, alphabet: str, moving: bool) -> None:
    kernel = site_kernel(target, alphabet)
    assert kernel is not None
    check(kernel, alphabet, moving, target)


def test_windows_are_found_in_any_order_that_keeps_their_axes_together() -> None:
    plain, apart = reading((0, 1, 2, 3)), reading((2, 0, 3, 1))
    assert plain is not None
    assert plain.run == 1
    assert apart is None


def test_increments_that_others_read_are_left_alone() -> None:
    changes = torch.zeros(3, 5)
    signals = Signals(3, {"a": Span(0, changes), "b": Span(0, torch.zeros(3, 5))})
    assert signals.alone("a")
    assert signals.alone("b")
    signals.increments["c"] = Span(0, changes.view(3, 5, 1))
    assert not signals.alone("a")
    assert signals.alone("b")
    signals.courses["d"] = Course(changes[0], Span(0, signals.increments["b"].values))
    assert not signals.alone("b")
