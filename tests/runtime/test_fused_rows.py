"""Kernels whose neurons see their whole row, against the reference dynamics."""

from __future__ import annotations

from math import prod

import pytest
import torch
from torch import Tensor

from onnx2snn.ops import layer_normalization, rms_normalization, softmax
from onnx2snn.ops.dynamics import ALPHABETS, scan
from onnx2snn.ops.passing import remainder
from onnx2snn.ops.target import Target
from onnx2snn.runtime.fused import build
from onnx2snn.runtime.fused.kernel import Charge, Row, SiteKernel, site_kernel
from onnx2snn.runtime.fused.layout import CHANNELS_LAST, Layout
from onnx2snn.runtime.fused.operands_source import LONGEST_CHUNK
from onnx2snn.runtime.fused.triton_kernel import TritonKernel
from onnx2snn.runtime.signals import accumulate

STEPS = 5
TARGETS = [
    layer_normalization.normalised((-1,), 1e-5),
    layer_normalization.normalised((-2, -1), 0.01),
    rms_normalization.scaled((-1,), 1e-6),
    softmax.softmax(-1),
    remainder(layer_normalization.normalised((-1,), 1e-5), 0.8),
    remainder(rms_normalization.scaled((-1,), 1e-6), 1.3),
]
# Rows shorter than a vector, of lines and not, longer than a chunk; few neurons, and many chunks.
SHAPES = [(3, 2, 5), (1, 1, 24), (7, 9, 48), (2, 3, 1), (2, 2, 768), (40, 3, 32)]


def row_of(target: Target, shape: tuple[int, ...]) -> Row | None:
    assert target.rowwise is not None
    order = tuple(range(len(shape)))
    layout = Layout(torch.Size(shape), order, 1, torch.empty(0), torch.empty(0))
    return layout.row(target.rowwise.axes)


def check(
    kernel: SiteKernel | TritonKernel, target: Target, alphabet: str, shape: tuple[int, ...]
) -> None:
    """Rows are summed in another order: spikes differ where v - f(x) is 0 but for rounding."""
    draw = torch.Generator().manual_seed(1)

    def normal(*sizes: int) -> Tensor:
        return torch.randn(sizes, generator=draw)

    x, dx, v = 1 + normal(*shape), 0.3 * normal(STEPS, *shape), normal(*shape)
    neurons, row = prod(shape), row_of(target, shape)
    eta, theta = normal(STEPS, shape[-1]).abs() + 0.1, 0.1 * normal(STEPS, shape[-1])
    first, last = 1, STEPS - 1
    currents = accumulate(x, dx)
    over = [y[first:last].reshape(-1, *(1,) * (len(shape) - 1), shape[-1]) for y in (eta, theta)]
    block = scan(v, [currents[first:last]], *over, target, ALPHABETS[alphabet])
    end, estimates = x.clone().flatten(), v.clone().flatten()
    dv = torch.empty(last - first, neurons)
    charge = Charge(end, 1, dx.reshape(STEPS, neurons), 0, end, row=row)
    spikes = kernel([charge], estimates, eta[first:], theta[first:], (first, last), dv)
    torch.testing.assert_close(end, currents[-1].flatten(), rtol=1e-5, atol=1e-5)
    differing = (dv - block.increments.flatten(1)).abs().amax(0) > 1e-6
    assert differing.float().mean() < 5e-3
    assert abs(int(spikes) - int(block.spikes.sum())) <= STEPS * int(differing.sum())
    same = ~differing
    torch.testing.assert_close(estimates[same], block.estimate.flatten()[same], rtol=0, atol=1e-5)


@pytest.mark.skipif(build.compiler() is None, reason="no C compiler here")
@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("threads", [1, 2])
def test_rows_fire_as_the_reference_does(
    shape: tuple[int, ...], target: Target, alphabet: str, threads: int
) -> None:
    kernel, before = site_kernel(target, alphabet), torch.get_num_threads()
    assert kernel is not None
    torch.set_num_threads(threads)
    try:
        check(kernel, target, alphabet, shape)
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(build.compiler() is None, reason="no C compiler here")
@pytest.mark.parametrize("length", [5, 16, 37])
def test_masked_numbers_have_no_share(length: int) -> None:
    target, masked = softmax.softmax(-1), length // 2
    kernel = site_kernel(target, "binary")
    assert kernel is not None
    x = torch.randn(4, length, generator=torch.Generator().manual_seed(length))
    x[:, masked:] = -torch.inf
    x[2] = -torch.inf
    expected = torch.softmax(x, -1).nan_to_num(0.0)
    for side in (-1e-5, 1e-5):
        v, dv = (expected + side).flatten(), torch.empty(1, x.numel())
        charge = Charge(x.flatten(), 1, row=row_of(target, (4, length)))
        spikes = kernel([charge], v, torch.ones(1, length), torch.zeros(1, length), (0, 1), dv)
        assert spikes == (x.numel() if side > 0 else 0)


def test_which_rows_kernels_walk_through() -> None:
    assert Row.of(24) == Row(24, 48, 480)
    assert Row.of(768) == Row(768, 768, 768)
    assert Row.of(LONGEST_CHUNK - 1) is None
    images = Layout(torch.Size((2, 3, 4, 5)), CHANNELS_LAST, 1, torch.empty(0), torch.empty(0))
    assert images.row((-3,)) == Row.of(3)
    assert images.row((-2, -1)) is None
    assert images.row((-1,)) is None
