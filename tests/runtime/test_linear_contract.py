"""What the table of linear operators promises besides values: costs and error messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from linear_row import Row, f, i
from linear_rows import apply, tensors

from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.linear import LINEAR, LinearOperator, _table


@pytest.mark.parametrize(
    ("op_type", "shapes", "attributes", "macs"),
    [
        ("Conv", [(2, 4, 5, 5), (6, 2, 3, 3)], {"group": 2}, 2 * 6 * 9 * 2 * 9),
        ("ConvTranspose", [(2, 4, 5), (4, 3, 3)], {"group": 2}, 2 * 4 * 5 * 3 * 3),
        ("Gemm", [(4, 3), (4, 5)], {"transA": 1}, 3 * 4 * 5),
        ("MatMul", [(2, 3, 4), (4, 5)], {}, 2 * 3 * 4 * 5),
        ("Einsum", [(2, 3, 4), (4, 5)], {"equation": "...ij,jk->...ik"}, 2 * 3 * 4 * 5),
        ("Einsum", [(7, 3, 4), (2, 1, 4, 5)], {"equation": "...ij,...jk->...ik"}, 2 * 7 * 60),
        ("Add", [(2, 3), (2, 3)], {}, 0),
    ],
)
def test_macs(
    op_type: str, shapes: list[tuple[int, ...]], attributes: dict[str, Any], macs: int
) -> None:
    operands = [torch.zeros(shape) for shape in shapes]
    operator = LINEAR[op_type]
    results = operator.apply(operands, attributes)
    assert operator.macs(operands, results, attributes) == macs


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (Row("Conv", [f(1, 2, 5)], {}), "operand 1 is missing"),
        (Row("Conv", [f(1, 2, 5), f(2, 2, 3)], {"pads": [1]}), "'pads' has 1 entries, expected 2"),
        (Row("Conv", [f(1, 2, 5), f(2, 2, 3)], {"auto_pad": "SAME"}), "'auto_pad' is 'SAME'"),
        (Row("Concat", [f(2), f(2)], {}), "attribute 'axis' is missing"),
        (Row("Concat", [f(2), f(2)], {"axis": 1}), "axis 1 is outside a tensor of rank 1"),
        (Row("Reshape", [f(6), f(2)], {}), "operand 1 must hold integers"),
        (
            Row("Reshape", [f(6), i(4)], {}),
            r"operands of shape \[6\], \[1\]: .* invalid for input of size 6",
        ),
        (Row("Split", [f(6), i(4, 4)], {}), "cannot split 6 into"),
        (Row("Slice", [f(6), i(0), i(6), i(0), i(0)], {}), "a step is 0"),
        (Row("Gather", [f(6), i(6)], {}), "out of range"),
        (Row("ScatterND", [f(6), i([0]), f(1)], {"reduction": "mul"}), "'reduction' is 'mul'"),
        (Row("Dropout", [f(6), None, np.array(True)], {}), "training_mode is true"),
        (Row("Resize", [f(6), None, None, i(3)], {"antialias": 1}), "antialias"),
    ],
)
def test_errors_say_what_is_wrong(row: Row, message: str) -> None:
    with pytest.raises(ModelError, match=message) as error:
        apply(row, tensors(row))
    assert "\n" not in str(error.value)


def test_indices_are_checked_before_they_leave_the_cpu() -> None:
    with pytest.raises(ModelError, match="indices -9 to 1 are out of range for an axis of 6"):
        LINEAR["Gather"].apply([torch.empty(6, device="meta"), torch.tensor([1, -9])], {})


def test_duplicates_are_refused() -> None:
    operator = LinearOperator("Twice", LINEAR["Add"].apply)
    with pytest.raises(ValueError, match="Twice"):
        _table([operator, operator])
