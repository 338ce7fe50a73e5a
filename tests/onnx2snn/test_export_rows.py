"""Export of every operator: its function in ONNX, and its spikes against the runtime's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from export_rows import SpikingFile, finished, lowered_model, lowered_torch, writer
from spikes import mismatches, of_loop, of_runtime

from onnx2snn.export.nodes import write_node
from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.node import Node
from onnx2snn.runtime.linear import LINEAR

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "ops"), str(TESTS / "runtime")]
import linear_rows  # noqa: E402
import operator_rows  # noqa: E402

torch.set_num_threads(1)
RNG = np.random.default_rng(0)
ONLY_FLOAT32 = ("Col2Im", "GridSample")
"""Linear operators that float64 refuses, and computes in float32 where they are analog."""
TOLERANCE = {"float32": 2e-5, "float64": 2e-14}


def run(model: Any, feed: dict[str, Any]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, feed))


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("row", operator_rows.ROWS, ids=str)
def test_the_onnx_form_of_a_target_is_its_function(row: Any, precision: str) -> None:
    arrays = {f"x{n}": a.astype(precision) for n, a in enumerate(row.operands) if a is not None}
    wide = RNG.standard_normal(arrays["x0"].shape) * RNG.choice([0.1, 1, 8], arrays["x0"].shape)
    for x in (arrays["x0"], wide.astype(precision)):
        feed = {**arrays, "x0": x}
        (found,) = run(lowered_model(row, feed, precision), feed)
        expected = lowered_torch(row, feed)
        assert found.dtype == expected.dtype
        tolerance = TOLERANCE[precision]
        np.testing.assert_allclose(found, expected, tolerance, tolerance, equal_nan=True)


@pytest.mark.parametrize("spikes", ["binary", "ternary"])
@pytest.mark.parametrize("row", operator_rows.ROWS, ids=str)
def test_spikes_of_an_operator(row: Any, spikes: str) -> None:
    file = SpikingFile(spikes)
    positive = row.domain(np.float32(-1)) > 0
    signal = file.signal("x", "s", positive)
    operands = [signal]
    for n, array in enumerate(row.operands[1:]):
        operands.append("" if array is None else file.constant(f"w{n}", array))
    while not operands[-1]:
        operands.pop()
    x, mask = row.operands[0], np.isinf(row.operands[0])
    if mask.any():
        hidden = file.constant("mask", np.where(mask, row.operands[0], 0).astype(np.float32))
        operands[0] = file.node("Add", [signal, hidden], ["masked"])
        x = np.where(mask, 0, x).astype(np.float32)
    file.spiking(row.source, operands, "y", **row.attributes, **row.extra)
    model = file.model({"x": ["N", *x.shape[1:]]}, {"y": row.rank})
    outputs, found = of_loop(model, {"x": x}, "float64")
    reference, expected = of_runtime(model, {"x": x}, "float64")
    differing, compared = mismatches(found, expected)
    assert differing == 0 and compared >= 2 * 6 * min(x.size, reference["y"].size)
    np.testing.assert_allclose(outputs["y"], reference["y"], 1e-12, 1e-12)


LINEAR_ROWS = [
    row for row in linear_rows.ROWS if row.operands[0].dtype == np.float32 and row.operands[0].size
]


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("row", LINEAR_ROWS, ids=str)
def test_a_linear_operator_in_both_precisions(row: Any, precision: str) -> None:
    """Alone, on values: the rewritten forms of float64 against PyTorch."""
    kinds = [a if a is None or a.dtype.kind != "f" else a.astype(precision) for a in row.operands]
    w = writer(precision, ["x"])
    w.shapes["x"] = kinds[0].shape
    inputs = ["x", *("" if a is None else w.constant(a, "c") for a in kinds[1:])]
    node = Node(row.op_type, tuple(inputs), tuple(f"y{i}" for i in range(row.outputs)))
    node = Node(node.op_type, node.inputs, node.outputs, row.attributes, "node")
    tolerance = TOLERANCE[precision]
    narrow = precision == "float64" and row.op_type in ONLY_FLOAT32
    if narrow:
        tolerance = TOLERANCE["float32"]
        with pytest.raises(ModelError, match=f"not compute {row.op_type} .*--precision float32"):
            write_node(w, node, inputs, analog=False)
    results = write_node(w, node, inputs, analog=narrow)
    found = run(finished(w, {"x": kinds[0]}, results), {"x": kinds[0]})
    tensors = [None if a is None else torch.from_numpy(np.array(a)) for a in kinds]
    expected = LINEAR[row.op_type].apply(tensors, row.attributes)
    for a, b in zip(found, expected, strict=False):
        np.testing.assert_allclose(a, b.numpy(), tolerance, tolerance)


@pytest.mark.parametrize("row", LINEAR_ROWS, ids=str)
def test_increments_of_a_linear_operator(row: Any) -> None:
    """Between sites: spikes in, spikes out."""
    file = SpikingFile()
    operands, shapes, inputs = [], {}, {}
    for n, array in enumerate(row.operands):
        if array is None:
            operands.append("")
        elif n in _varying(row):
            operands.append(file.signal(f"x{n}", f"s{n}", positive=False))
            shapes[f"x{n}"] = list(array.shape)
            inputs[f"x{n}"] = array
        else:
            operands.append(file.constant(f"w{n}", array))
    names = ["mapped", *(f"more{n}" for n in range(1, row.outputs))]
    file.node(row.op_type, operands, names, **row.attributes)
    file.spiking("Tanh", ["mapped"], "y", reach=1.5)
    model = file.model(shapes, {"y": len(_result(row).shape)})
    precision, tolerance = "float64", 1e-12
    if row.op_type in ONLY_FLOAT32:
        precision, tolerance = "float32", 1e-5
    outputs, found = of_loop(model, inputs, precision)
    reference, expected = of_runtime(model, inputs, precision)
    differing, compared = mismatches(found, expected)
    assert differing == 0 and compared > 0
    np.testing.assert_allclose(outputs["y"], reference["y"], tolerance, tolerance)


def _varying(row: Any) -> set[int]:
    """Operand 0, and the last one that may vary beside it."""
    operator, floats = LINEAR[row.op_type], range(len(row.operands))
    if row.op_type in ("Where", "ScatterElements", "ScatterND"):
        return {2}
    if operator.variadic or row.op_type in ("Add", "Sub"):
        return {0, max(floats)}
    return {0}


def _result(row: Any) -> Any:
    tensors = [None if a is None else torch.from_numpy(np.array(a)) for a in row.operands]
    return LINEAR[row.op_type].apply(tensors, row.attributes)[0]
