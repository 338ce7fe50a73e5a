"""Kernels whose neurons fold any number of members, against the reference dynamics."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from onnx2snn.ops import BY_SOURCE, DOMAIN, extremum
from onnx2snn.ops.dynamics import ALPHABETS, scan
from onnx2snn.ops.node import Node
from onnx2snn.ops.target import Target
from onnx2snn.ops.windows import Geometry, Windows
from onnx2snn.runtime.fused import build
from onnx2snn.runtime.fused.kernel import Charge, Reading, site_kernel
from onnx2snn.runtime.fused.layout import CHANNELS_LAST, Layout
from onnx2snn.runtime.fused.operands_source import MOST_MEMBERS
from onnx2snn.runtime.signals import accumulate

STEPS = 4


def reduction(source: str, axes: list[int], keepdims: int = 1) -> Target:
    attributes = {"axes": axes, "keepdims": keepdims}
    operator = BY_SOURCE[source]
    node = Node(operator.op_type, ("x",), ("y",), attributes, "n", DOMAIN)
    return operator.lower(node).sites[0].target


def pooled(*geometries: Geometry) -> Target:
    return extremum.largest_in(Windows(geometries), -0.5)


PLAIN = (0, 1, 2, 3)
# Target, shape of its operand, order of the site's axes in memory.
ROWS: dict[str, tuple[Target, tuple[int, ...], tuple[int, ...]]] = {
    "columns": (reduction("ReduceMax", [-2]), (2, 11, 37), PLAIN[:3]),
    "columns_dropped": (reduction("ReduceMin", [-2], 0), (2, 11, 37), PLAIN[:2]),
    "rows": (reduction("ReduceMax", [-1]), (3, 5, 40), PLAIN[:3]),
    "rows_dropped": (reduction("ReduceL1", [-1], 0), (3, 5, 19), PLAIN[:2]),
    "short_rows": (reduction("ReduceProd", [-1]), (2, 30, 3), PLAIN[:3]),
    "many_members": (reduction("ReduceMax", [-2]), (2, 1100, 20), PLAIN[:3]),
    "images": (reduction("ReduceSumSquare", [-2, -1]), (2, 20, 5, 4), CHANNELS_LAST),
    "planes": (reduction("ReduceL1", [-2, -1]), (2, 20, 5, 4), PLAIN),
    "windows": (pooled(Geometry(5, 2, pads=(2, 2)), Geometry(4)), (2, 20, 7, 6), CHANNELS_LAST),
    "planes_of_windows": (pooled(Geometry(19, 3, pads=(9, 9))), (2, 3, 40), PLAIN[:3]),
}


def reading(
    target: Target, shape: tuple[int, ...], order: tuple[int, ...], neurons: torch.Size
) -> Reading | None:
    layout = Layout(neurons, order, 1, torch.empty(0), torch.empty(0))
    return layout.reading(target, torch.Size(shape), torch.device("cpu"))


def flat(x: Tensor, order: tuple[int, ...], rank: int) -> Tensor:
    """In memory's order, any time in front."""
    ahead = x.dim() - rank
    inner = order if rank == len(order) else range(rank)
    return x.permute(*range(ahead), *(i + ahead for i in inner)).contiguous()


@pytest.mark.skipif(build.compiler() is None, reason="no C compiler here")
@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize("name", ROWS)
def test_folds_fire_as_the_reference_does(name: str, alphabet: str) -> None:
    """Of multiples of a quarter sums and products are exact, in whatever order."""
    target, shape, order = ROWS[name]
    draw = torch.Generator().manual_seed(1)

    def quarters(*sizes: int) -> Tensor:
        return torch.randint(-6, 7, sizes, generator=draw) / 4

    x, dx = quarters(*shape), quarters(STEPS, *shape)
    currents = accumulate(x, dx)
    v = quarters(*target(x).shape)
    eta, theta = quarters(STEPS, *v.shape).abs() + 0.25, quarters(STEPS, *v.shape)
    first, last = 1, STEPS
    over = [y[first:last] for y in (eta, theta)]
    block = scan(v, [currents[first:last]], *over, target, ALPHABETS[alphabet])

    kernel, found = site_kernel(target, alphabet), reading(target, shape, order, v.shape)
    assert kernel is not None
    assert found is not None
    start, rank = flat(x, order, x.dim()), v.dim()
    end, estimates = start.clone(), flat(v, order, rank).clone()
    charge = Charge(start, 1, flat(dx, order, x.dim()), 0, end, found)
    dv = torch.empty(last - first, v.numel())
    schedule = [flat(y, order, rank).flatten(1) for y in over]
    spikes = kernel([charge], estimates.view(-1), *schedule, (first, last), dv)
    assert int(spikes) == int(block.spikes.sum())
    assert torch.equal(estimates, flat(block.estimate, order, rank))
    assert torch.equal(dv.reshape(last - first, -1), flat(block.increments, order, rank).flatten(1))
    charge.settle()
    assert torch.equal(end, flat(currents[-1], order, x.dim()))


def test_what_kernels_cannot_fold() -> None:
    apart = reduction("ReduceMax", [-3, -1])
    assert reading(apart, (2, 3, 4, 5), PLAIN, torch.Size((2, 1, 4, 1))) is None
    long = reduction("ReduceMax", [-1], 0)
    assert reading(long, (3, MOST_MEMBERS + 1), (0,), torch.Size((3,))) is None
    assert reading(long, (3, 4, 5), (1, 0), torch.Size((3, 4))) is None
    assert site_kernel(reduction("ReduceLogSumExp", [-1]), "binary") is None
