"""Compiled site kernels against the reference dynamics, spike for spike."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from session_models import MODELS, TIME_STEPS, feed, spiking

from onnx2snn.ops import (
    celu,
    elu,
    erf,
    exp,
    extremum,
    gelu,
    hard_sigmoid,
    hard_swish,
    layer_normalization,
    leaky_relu,
    log,
    mish,
    prelu,
    reciprocal,
    relu,
    sigmoid,
    softmax,
    softplus,
    softsign,
    sqrt,
    swish,
    tanh,
)
from onnx2snn.ops.dynamics import ALPHABETS, scan
from onnx2snn.ops.passing import remainder
from onnx2snn.ops.target import Target
from onnx2snn.runtime.fused import build
from onnx2snn.runtime.fused.expression import trace
from onnx2snn.runtime.fused.kernel import Charge, site_kernel
from onnx2snn.runtime.fused.sites import FusedSites
from onnx2snn.runtime.session import SpikingSession
from onnx2snn.runtime.start import begin

TARGETS = [
    relu.relu(),
    leaky_relu.leaky_relu(0.1),
    gelu.gelu("none"),
    gelu.gelu("tanh"),
    sigmoid.sigmoid(),
    tanh.tanh(),
    exp.exp(),
    erf.erf(),
    log.log(),
    sqrt.sqrt(),
    reciprocal.reciprocal(),
    elu.elu(1.5),
    celu.celu(0.7),
    softplus.softplus(),
    softsign.softsign(),
    mish.mish(),
    hard_swish.hard_swish(),
    hard_sigmoid.hard_sigmoid(0.2, 0.5),
    swish.swish(1.0),
    prelu.prelu(),
    extremum.maximum(),
    extremum.minimum(),
    extremum.largest(4, 0.0),
    layer_normalization.square(),
    layer_normalization.quotient(1e-5),
    softmax.share(),
    remainder(gelu.gelu("none"), 0.4),
    remainder(relu.relu(), 0.5),
]
needs_compiler = pytest.mark.skipif(build.compiler() is None, reason="no C compiler here")


def case(
    target: Target, neurons: int, steps: int, sizes: int, bounds: int
) -> dict[str, torch.Tensor]:
    """Step sizes and thresholds repeat after so many neurons."""
    draw = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=draw)

    return {
        "v": normal(neurons),
        "x": normal(target.arity, neurons).abs()
        if target.name == "log"
        else normal(target.arity, neurons),
        "dx": 0.1 * normal(target.arity, steps, neurons),
        "eta": 0.5 * normal(steps, sizes).abs() + 0.01,
        "theta": 0.1 * normal(steps, bounds),
    }


@needs_compiler
@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_kernels_fire_as_the_reference_does(target: Target, alphabet: str) -> None:
    neurons, steps = 1531, 5
    data = case(target, neurons, steps, 24, 37)
    kernel = site_kernel(target, alphabet)
    assert kernel is not None
    currents = torch.cumsum(torch.cat([data["x"][:, None], data["dx"]], 1), 1)[:, 1:]
    eta, theta = (data[k].repeat(1, neurons)[:, :neurons] for k in ("eta", "theta"))
    block = scan(data["v"], list(currents), eta, theta, target, ALPHABETS[alphabet])
    v, dv, ends = data["v"].clone(), torch.empty(steps, neurons), data["x"].clone()
    charges = [
        Charge(end, 1, change.contiguous(), 0, end)
        for end, change in zip(ends, data["dx"], strict=True)
    ]
    spikes = kernel(charges, v, data["eta"], data["theta"], (0, steps), dv)
    differing = (dv - block.increments).abs().amax(0) > 1e-6
    assert differing.float().mean() < 2e-3, "more than rounding ties"
    assert abs(spikes - int(block.spikes.sum())) <= steps * int(differing.sum())
    torch.testing.assert_close(v[~differing], block.estimate[~differing])
    torch.testing.assert_close(ends, currents[:, -1], rtol=1e-5, atol=1e-5)


@needs_compiler
def test_spans_silence_and_operands_of_rows() -> None:
    """Increments in steps 1 and 2 of 4, firing in 2 and 3; x2 has one value per 6 neurons."""
    target, rows, neurons = layer_normalization.quotient(1e-5), 6, 6 * 200
    data = case(target, neurons, 4, 12, 12)
    x2, dx2 = data["x"][1, : neurons // rows].abs(), data["dx"][1, :2, : neurons // rows].abs()
    x1, dx1 = data["x"][0].clone(), data["dx"][0, :2].contiguous()
    kernel = site_kernel(target, "binary")
    assert kernel is not None
    v, dv = data["v"].clone(), torch.empty(2, neurons)
    end2 = torch.empty_like(x2)
    charges = [Charge(x1, 1, dx1, 1, x1), Charge(x2, rows, dx2.contiguous(), 1, end2)]
    kernel(charges, v, data["eta"][2:], data["theta"][2:], (2, 4), dv)
    first = data["x"][0] + dx1[0] + dx1[1]
    second = (x2 + dx2[0] + dx2[1]).repeat_interleave(rows)
    torch.testing.assert_close(x1, first)
    torch.testing.assert_close(end2.repeat_interleave(rows), second)
    eta, theta = (data[k][2:].repeat(1, 100) for k in ("eta", "theta"))
    twice = [x.expand(2, -1) for x in (first, second)]
    block = scan(data["v"], twice, eta, theta, target, ALPHABETS["binary"])
    torch.testing.assert_close(dv, block.increments)


@needs_compiler
@pytest.mark.parametrize("block", [1, 3, None])
@pytest.mark.parametrize(
    ("name", "windows"),
    [*((name, "synchronous") for name in MODELS), ("residual_mlp", "0.5"), ("products", "0.5")],
)
def test_a_network_is_the_same_compiled_and_eager(
    name: str, windows: str, block: int | None
) -> None:
    model, arrays = spiking(name, windows=windows), feed(name, 3)
    eager = SpikingSession(model, device="cpu", compile=False, block=1)
    compiled = SpikingSession(model, device="cpu", block=block)
    steps = [1, 4, eager.time_steps]
    pairs = zip(compiled.simulate(arrays, steps), eager.simulate(arrays, steps), strict=True)
    for found, expected in pairs:
        assert abs(found.account.spikes - expected.account.spikes) <= 2
        for output, array in found.outputs.items():
            np.testing.assert_allclose(array, expected.outputs[output], 2e-2, 2e-2)
    assert compiled._runner.executor.fused is not None and compiled._runner.executor.fused.kernels


def test_row_wise_functions_stay_eager() -> None:
    assert trace(softmax.softmax(-1)) is None
    assert trace(layer_normalization.normalised((-1,), 1e-5)) is None
    assert trace(Target("sine", 1, torch.sin)) is None


def test_eager_code_takes_over_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FusedSites, "kernels", {})
    model, arrays = spiking("conv_net"), feed("conv_net", 2)
    (found,) = SpikingSession(model, device="cpu").run(None, arrays)
    (expected,) = SpikingSession(model, device="cpu", compile=False).run(None, arrays)
    np.testing.assert_array_equal(found, expected)


def test_a_failing_compiler_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONNX2SNN_CACHE", str(tmp_path))
    assert build.build("this is no C") is None
    assert not list(tmp_path.iterdir())


def test_triton_kernels_in_the_interpreter() -> None:
    pytest.importorskip("triton", reason="Triton is not installed")
    code = Path(__file__).with_name("triton_interpreter.py")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    result = subprocess.run(
        [sys.executable, str(code)], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]


def test_bf16_synapses_keep_float32_states() -> None:
    model, arrays = spiking("conv_net"), feed("conv_net", 8)
    (short,) = SpikingSession(model, device="cpu", precision="bf16").run(None, arrays)
    (full,) = SpikingSession(model, device="cpu").run(None, arrays)
    assert short.dtype == np.float32
    assert 0 < np.linalg.norm(short - full) / np.linalg.norm(full) < 0.1


@pytest.mark.parametrize("name", MODELS)
def test_memory_sets_the_block_and_changes_nothing(name: str) -> None:
    model, arrays = spiking(name), feed(name, 3)
    small, large = (SpikingSession(model, device="cpu", memory=m) for m in (1, 1 << 30))
    states = [begin(s._runner.executor, s._inputs(arrays), None)[0] for s in (small, large)]
    lengths = [
        s._runner._block_length(state) for s, state in zip((small, large), states, strict=True)
    ]
    assert lengths[0] == 1 and lengths[1] > TIME_STEPS
    for found, expected in zip(small.run(None, arrays), large.run(None, arrays), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
