"""Sums of binary spikes: by tables and by multiplication, bit for bit the same."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from session_models import NODE, build, feed, spiking
from test_program import executed

import onnx2snn
from onnx2snn.runtime.fused.build import compiler
from onnx2snn.runtime.program import sums
from onnx2snn.runtime.program.program import library
from onnx2snn.runtime.session import SpikingSession

pytestmark = pytest.mark.skipif(compiler() is None, reason="needs a C compiler")
Array = NDArray[Any]
SAME = {"kernel_shape": [3, 3], "pads": [1] * 4}
# Operator, attributes, shapes of the signal and of the weights: numbers that end within vectors,
# panels, tiles and tables, and more rows and kinds of pixels than share a table.
ROWS: dict[str, tuple[str, dict[str, Any], tuple[int, ...], tuple[int, ...]]] = {
    "matmul": ("MatMul", {}, (3, 5, 24), (24, 21)),
    "gemm": ("Gemm", {"transB": 1}, (7, 40), (70, 40)),
    "several_tables": ("Gemm", {}, (9, 1000), (1000, 17)),
    "many_rows": ("MatMul", {}, (2, 1100, 8), (8, 9)),
    "pixel": ("Conv", {}, (2, 16, 3, 3), (40, 16, 1, 1)),
    "padded": ("Conv", SAME, (2, 8, 5, 4), (19, 8, 3, 3)),
    "many_pixels": ("Conv", SAME, (2, 8, 30, 40), (8, 8, 3, 3)),
    "groups": ("Conv", {**SAME, "group": 4}, (2, 16, 5, 5), (20, 4, 3, 3)),
    "strided": ("Conv", {**SAME, "strides": [2, 2]}, (2, 8, 9, 8), (24, 8, 3, 3)),
    "dilated": ("Conv", {"dilations": [2, 1]}, (2, 8, 7, 8), (5, 8, 3, 2)),
    "beside_the_image": ("Conv", {"pads": [4, 5, 4, 5]}, (1, 8, 4, 3), (9, 8, 3, 3)),
    "many_kinds": ("Conv", {"pads": [5] * 4}, (2, 8, 9, 9), (3, 8, 11, 11)),
}
OTHER = {
    "half_a_byte": ("MatMul", {}, (3, 5, 20), (20, 21)),
    "half_a_quad": ("Conv", {**SAME, "group": 8}, (2, 16, 5, 5), (24, 2, 3, 3)),
}


@cache
def converted(name: str, spikes: str = "binary") -> tuple[onnx.ModelProto, Array]:
    """A layer whose channels spike, a gain of either sign, and the operator; and data."""
    op_type, attributes, shape, filters = {**ROWS, **OTHER}[name]
    rng = np.random.default_rng(3)
    channels = shape[1] if op_type == "Conv" else shape[-1]
    gain, same = np.linspace(-1.1, 2, channels, dtype="f"), np.eye(channels, dtype="f")
    before = "Conv" if op_type == "Conv" else "MatMul"
    weights = {
        "same": same.reshape(channels, channels, 1, 1) if before == "Conv" else same,
        "gain": gain.reshape(-1, 1, 1) if before == "Conv" else gain,
        "w": rng.standard_normal(filters).astype("f"),
    }
    nodes = [
        NODE(before, ["x", "same"], ["c"]),
        NODE("Relu", ["c"], ["r"], "relu"),
        NODE("Mul", ["r", "gain"], ["m"]),
        NODE(op_type, ["m", "w"], ["y"], **attributes),
    ]
    ann = build(nodes, {"x": ["N", *shape[1:]]}, {"y": None}, weights)
    x = rng.standard_normal(shape).astype("f")
    samples = {"x": rng.standard_normal((8, *shape[1:])).astype("f")}
    return onnx2snn.convert(ann, samples, time_steps=5, tuning=0, spikes=spikes), x


def answer(
    model: onnx.ModelProto, x: Array, least: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[Array, set[str]]:
    """What a session says where tables take so many rows, and the kernels of its programs."""
    monkeypatch.setattr(sums, "LEAST_ROWS", least)
    session = SpikingSession(model, device="cpu", block=3)
    (y,) = session.run(None, {"x": x})
    kernels = library()
    assert kernels is not None
    names = {address: name for name, address in kernels.kernels.items()}
    (prepared,) = session._runner.programs.known.values()
    assert prepared is not None
    programs = prepared.programs.values()
    addresses = {int(a) for p in programs for a in p.words[: 3 * p.count : 3]}
    return y, {names[address] for address in addresses & names.keys()}


@pytest.mark.parametrize("name", ROWS)
def test_tables_hold_the_sums_of_the_operator(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = converted(name)
    looked_up, kernels = answer(model, x, 0, monkeypatch)
    multiplied, others = answer(model, x, 1 << 60, monkeypatch)
    assert "lookup" in kernels and "quads" not in kernels
    assert "quads" in others and "lookup" not in others
    np.testing.assert_array_equal(looked_up, multiplied)
    (expected,) = executed(model).run(None, {"x": x})
    np.testing.assert_allclose(looked_up, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "spikes"), [*((n, "binary") for n in OTHER), ("gemm", "ternary")])
def test_other_numbers_are_multiplied(
    name: str, spikes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x = converted(name, spikes)
    found, kernels = answer(model, x, 0, monkeypatch)
    assert "product" in kernels and kernels.isdisjoint({"quads", "lookup"})
    (expected,) = executed(model).run(None, {"x": x})
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("samples", [1, 9])
def test_a_network_spikes_alike_however_it_is_added_up(
    samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x = spiking("in_bytes"), feed("in_bytes", samples)["x"]
    expected, kernels = answer(model, x, sums.LEAST_ROWS, monkeypatch)
    assert "quads" in kernels and ("lookup" in kernels) == (samples == 9)
    for least in (0, 1 << 60):
        np.testing.assert_array_equal(answer(model, x, least, monkeypatch)[0], expected)
