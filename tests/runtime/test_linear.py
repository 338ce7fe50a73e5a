"""Every linear operator against onnxruntime and onnx.reference, and its claims of linearity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from linear_row import Array, Row, f, i
from linear_rows import CASTS, ROWS, apply, tensors
from onnx import NodeProto, ValueInfoProto, helper
from onnx.reference import ReferenceEvaluator
from torch import Tensor

from onnx2snn.runtime.linear import LINEAR

OPSET = 22
KNOWN_UNTIL = {"RoiAlign": 21}
"""Opsets, for operators whose newest version onnxruntime lacks."""
STEPS = 3


def _node(row: Row) -> NodeProto:
    inputs = ["" if a is None else f"x{position}" for position, a in enumerate(row.operands)]
    outputs = [f"y{position}" for position in range(row.outputs)]
    return helper.make_node(row.op_type, inputs, outputs, **row.attributes)


def _feed(row: Row) -> dict[str, Array]:
    return {f"x{n}": np.asarray(a) for n, a in enumerate(row.operands) if a is not None}


def onnxruntime_results(row: Row) -> list[Array]:
    feed = _feed(row)
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for name, a in feed.items()
    ]
    outputs = [ValueInfoProto(name=f"y{position}") for position in range(row.outputs)]
    model = helper.make_model(
        helper.make_graph([_node(row)], "row", inputs, outputs),
        opset_imports=[helper.make_opsetid("", KNOWN_UNTIL.get(row.op_type, OPSET))],
        ir_version=10,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(array) for array in session.run(None, feed)]


def in_float64(row: Row) -> Row:
    """The row in float64, but for the scales and roi of Resize, which are float32 by definition."""
    kept = (1, 2) if row.op_type == "Resize" else ()
    return replace(
        row,
        operands=[
            a if a is None or a.dtype != np.float32 or position in kept else a.astype(np.float64)
            for position, a in enumerate(row.operands)
        ],
    )


def check(row: Row) -> None:
    """Shape, type and values as onnxruntime has them."""
    for result, expected in zip(apply(row, tensors(row)), onnxruntime_results(row), strict=True):
        assert tuple(result.shape) == expected.shape
        assert result.numpy().dtype.kind == expected.dtype.kind
        if expected.dtype.kind != "f":
            assert result.numpy().dtype == expected.dtype
        np.testing.assert_allclose(result.numpy(), expected, rtol=row.tolerance, atol=row.tolerance)


def varying_sets(row: Row) -> Iterator[frozenset[int]]:
    """One factor at a time, each summand alone, and all of what may vary together."""
    operator = LINEAR[row.op_type]
    floating = [n for n, a in enumerate(row.operands) if a is not None and a.dtype.kind == "f"]
    factors = [n for n in operator.factors if n in floating]
    summands = [n for n in floating if operator.variadic or n in operator.summands]
    yield from (frozenset({n}) for n in factors or summands)
    if summands:
        yield from (frozenset({n, *summands}) for n in factors or summands[:1])


SIGNALS = [row for row in ROWS if any(varying_sets(row))]


def zeroed(row: Row, varying: frozenset[int]) -> list[Tensor | None]:
    """Operands in float64 with the summands that do not vary set to zero."""
    operator = LINEAR[row.op_type]
    return [
        torch.zeros_like(t)
        if t is not None and (operator.variadic or n in operator.summands) and n not in varying
        else t
        for n, t in enumerate(tensors(in_float64(row)))
    ]


def variants(
    operands: Sequence[Tensor | None], varying: frozenset[int]
) -> list[list[Tensor | None]]:
    """STEPS copies of the operands with fresh values in those that vary."""
    generator = torch.Generator().manual_seed(7)

    def fresh(tensor: Tensor) -> Tensor:
        return torch.randn(tensor.shape, dtype=tensor.dtype, generator=generator)

    return [
        [fresh(t) if t is not None and n in varying else t for n, t in enumerate(operands)]
        for _ in range(STEPS)
    ]


def trajectory(steps: list[list[Tensor | None]], position: int) -> list[Tensor]:
    """The values of one operand over the steps."""
    return [tensor for step in steps if (tensor := step[position]) is not None]


@pytest.mark.parametrize("row", ROWS + CASTS, ids=str)
def test_results_are_those_of_onnxruntime(row: Row) -> None:
    check(row)


@pytest.mark.parametrize("row", [r for r in ROWS if not r.reference], ids=str)
def test_float64_results_are_those_of_the_reference(row: Row) -> None:
    row = in_float64(row)
    expected = ReferenceEvaluator(_node(row)).run(None, _feed(row))
    # The reference weights interpolations, epsilon and alpha in float32.
    for result, wanted in zip(apply(row, tensors(row)), expected, strict=True):
        np.testing.assert_allclose(result.numpy(), wanted, rtol=row.tolerance, atol=row.tolerance)


@pytest.mark.parametrize("row", SIGNALS, ids=str)
def test_increments_are_linear(row: Row) -> None:
    for varying in varying_sets(row):
        assert LINEAR[row.op_type].is_linear_in(varying)
        first, second, _ = variants(zeroed(row, varying), varying)
        mixed = [
            a if a is None or b is None or n not in varying else 2 * a - 3 * b
            for n, (a, b) in enumerate(zip(first, second, strict=True))
        ]
        one, two = apply(row, first)[0], apply(row, second)[0]
        torch.testing.assert_close(apply(row, mixed)[0], 2 * one - 3 * two, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("row", SIGNALS, ids=str)
def test_vmap_over_time_equals_a_loop(row: Row) -> None:
    for varying in varying_sets(row):
        steps = variants(tensors(in_float64(row)), varying)
        positions = sorted(varying)

        def at(*values: Tensor, base: Any = steps[0], where: Any = positions) -> Tensor:
            operands = list(base)
            for position, value in zip(where, values, strict=True):
                operands[position] = value
            return apply(row, operands)[0]

        stacked = [torch.stack(trajectory(steps, n)) for n in positions]
        looped = torch.stack([apply(row, step)[0] for step in steps])
        torch.testing.assert_close(torch.vmap(at)(*stacked), looped, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("row", [r for r in SIGNALS if LINEAR[r.op_type].batched], ids=str)
def test_time_folds_into_the_batch_axis(row: Row) -> None:
    steps = variants(tensors(in_float64(row)), frozenset({0}))
    folded = [torch.cat(trajectory(steps, 0)), *steps[0][1:]]
    looped = torch.cat([apply(row, step)[0] for step in steps])
    torch.testing.assert_close(apply(row, folded)[0], looped, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("row", SIGNALS, ids=str)
def test_indices_on_the_cpu_serve_signals_elsewhere(row: Row) -> None:
    """On torch's meta device: it has shapes but no values, so nothing can be read from signals."""
    aside = (1, 2) if row.op_type in ("Resize", "Dropout", "RoiAlign") else ()
    operands = [
        t.to("meta") if t is not None and t.is_floating_point() and n not in aside else t
        for n, t in enumerate(tensors(row))
    ]
    results = apply(row, operands)
    assert [r.shape for r in results] == [r.shape for r in apply(row, tensors(row))]
    assert all(r.is_meta for r in results)


def has_half(row: Row) -> bool:
    """Whether torch has the kernels: its avg_pool3d lacks half precision on the CPU."""
    return not (row.op_type == "AveragePool" and len(row.attributes["kernel_shape"]) == 3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("row", [r for r in SIGNALS if has_half(r)], ids=str)
def test_half_precision(row: Row, dtype: torch.dtype) -> None:
    aside = (1, 2) if row.op_type in ("Resize", "RoiAlign") else ()
    operands = [
        t.to(dtype) if t is not None and t.is_floating_point() and n not in aside else t
        for n, t in enumerate(tensors(row))
    ]
    for result, wanted in zip(apply(row, operands), apply(row, tensors(row)), strict=True):
        assert result.dtype in (dtype, torch.bool)
        torch.testing.assert_close(result.to(wanted.dtype), wanted, rtol=0.1, atol=0.1)


def test_every_operator_has_a_row() -> None:
    # Window is no standard operator, so no oracle here knows it.
    assert {row.op_type for row in ROWS} == set(LINEAR) - {"Window"}


@pytest.mark.parametrize("row", SIGNALS, ids=str)
def test_operands_are_left_as_they_were(row: Row) -> None:
    operands = tensors(row)
    before = [None if t is None else t.clone() for t in operands]
    apply(row, operands)
    for kept, now in zip(before, operands, strict=True):
        assert kept is None or (now is not None and torch.equal(kept, now))


@given(
    size=st.integers(1, 6),
    bounds=st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
    step=st.integers(-3, 3).filter(bool),
)
@settings(max_examples=60, deadline=None)
def test_slices(size: int, bounds: tuple[int, int], step: int) -> None:
    data = np.arange(size, dtype=np.float32)
    check(Row("Slice", [data, i(bounds[0]), i(bounds[1]), i(0), i(step)], {}))


@given(data=st.data(), op_type=st.sampled_from(["Conv", "AveragePool"]))
@settings(max_examples=60, deadline=None)
def test_window_geometry(data: st.DataObject, op_type: str) -> None:
    size, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 3))
    dilation, stride = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    reach = dilation * (width - 1) + 1
    pads = [data.draw(st.integers(0, width - 1)) for _ in range(2)]
    assume(size + sum(pads) >= reach)
    geometry: dict[str, Any] = {"strides": [stride], "dilations": [dilation], "pads": pads}
    if op_type == "Conv":
        check(Row("Conv", [f(1, 2, size), f(2, 2, width)], geometry))
        return
    # A window may not lie in the padding alone: its mean would be 0 / 0.
    assume(all(pad < dilation or dilation == 1 for pad in pads) and size >= reach)
    geometry |= {"kernel_shape": [width], "ceil_mode": data.draw(st.integers(0, 1))}
    check(Row("AveragePool", [f(1, 2, size)], geometry))


@given(shape=st.permutations([2, 3, 4, 1]), cut=st.integers(0, 3), hole=st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_reshapes(shape: list[int], cut: int, hole: int) -> None:
    target = [0] * cut + shape[cut:]
    target[hole] = -1
    check(Row("Reshape", [f(*shape), i(*target)], {}))
