"""Parameters of sites as kernels find them, against the parameters themselves."""

from __future__ import annotations

import pytest
import torch

from onnx2snn.runtime.fused.layout import WIDEST, layout_of
from onnx2snn.runtime.fused.operands_source import CHUNK
from onnx2snn.runtime.state import Parameters

STEPS = 3
# Shapes of a site, of its step sizes and of its thresholds, of one sample.
ROWS = [
    ((2, 5, 4, 3), (5, 1, 1), ()),
    ((2, 24, 4, 4), (24, 1, 1), (24, 4, 4)),
    ((2, 48, 3, 3), (48, 1, 1), (48, 1, 1)),
    ((2, 3, 4, 4), (3, 4, 4), (3, 1, 1)),
    ((2, 7, 33), (33,), (7, 33)),
    ((2, 4, 333), (333,), (333,)),
    ((2, 6, 5), (6, 1), (5,)),
    ((2, 600), (600,), ()),
    ((2, 5), (), ()),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "sizes", "bounds"), ROWS)
def test_every_neuron_finds_its_own(
    shape: tuple[int, ...], sizes: tuple[int, ...], bounds: tuple[int, ...]
) -> None:
    steps, thresholds = torch.rand(STEPS, *sizes), torch.rand(STEPS, *bounds)
    layout = layout_of(
        Parameters(torch.zeros(()), steps, thresholds, (0, STEPS)), torch.Size(shape)
    )
    assert layout is not None
    for kept, given in ((layout.step_sizes, steps), (layout.thresholds, thresholds)):
        aligned = given.reshape(STEPS, *(1,) * (len(shape) - given.dim() + 1), *given.shape[1:])
        expected = layout.flat(aligned.expand(STEPS, *shape), extra=1).reshape(STEPS, -1)
        times = -(-expected.shape[1] // kept.shape[1])
        found = kept.repeat(1, times)[:, : expected.shape[1]]
        torch.testing.assert_close(found, expected)


def test_what_repeats_soon_fills_vectors() -> None:
    for channels in (1, 3, 24, 33, 64):
        parameters = Parameters(
            torch.zeros(()), torch.rand(STEPS, channels), torch.rand(STEPS, channels), (0, STEPS)
        )
        layout = layout_of(parameters, torch.Size((2, channels)))
        assert layout is not None
        width = layout.step_sizes.shape[1]
        assert width % channels == 0 and width <= CHUNK
        assert width % WIDEST == 0 or (width + channels) > CHUNK
