"""Bound nodes against the operators they stand for, one time step after another."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from onnx2snn.ops.node import Node
from onnx2snn.runtime.bound import Form, bind
from onnx2snn.runtime.linear import LINEAR

STEPS = 3
INTEGERS = torch.tensor([2, 3])


def weights(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


# Operator, attributes, operands; a tuple is the shape of one that varies over time.
ROWS: dict[str, tuple[str, dict[str, Any], list[Any]]] = {
    "conv": (
        "Conv",
        {"pads": [1, 1, 1, 1], "strides": [2, 1]},
        [(2, 4, 6, 5), weights(6, 4, 3, 3)],
    ),
    "pointwise": ("Conv", {}, [(1, 4, 6, 5), weights(8, 4, 1, 1)]),
    "grouped": ("Conv", {"group": 4, "auto_pad": "VALID"}, [(2, 4, 6, 5), weights(8, 1, 3, 2)]),
    "uneven_pads": (
        "Conv",
        {"pads": [0, 1, 1, 0], "strides": [2, 2]},
        [(2, 4, 6, 5), weights(6, 4, 3, 3)],
    ),
    "cut_by_pads": ("Conv", {"pads": [-1, 0, 0, 2]}, [(2, 4, 6, 5), weights(6, 4, 3, 3)]),
    "transposed": (
        "ConvTranspose",
        {"pads": [1, 1, 1, 1], "strides": [2, 1]},
        [(2, 4, 6, 5), weights(4, 6, 3, 3)],
    ),
    "conv_1d": ("Conv", {"dilations": [2]}, [(2, 4, 9), weights(6, 4, 3)]),
    "matmul": ("MatMul", {}, [(2, 7, 4), weights(4, 5)]),
    "vectors": ("MatMul", {}, [(2, 4), weights(4, 5)]),
    "gemm": ("Gemm", {"transB": 1}, [(2, 4), weights(5, 4), None]),
    "gemm_plain": ("Gemm", {}, [(2, 4), weights(4, 5)]),
    "scaling": ("Mul", {}, [weights(4, 1), (2, 4, 3)]),
    "quotient": ("Div", {}, [(2, 4, 3), weights(4, 1)]),
    "sum": ("Add", {}, [(2, 4, 3), (2, 4, 1)]),
    "difference": ("Sub", {}, [(2, 4, 1), (2, 4, 3)]),
    "transpose": ("Transpose", {"perm": [2, 0, 1]}, [(2, 4, 3)]),
    "reversal": ("Transpose", {}, [(2, 4, 3)]),
    "reshape": ("Reshape", {}, [(2, 4, 3), torch.tensor([0, -1])]),
    "flatten": ("Flatten", {}, [(2, 4, 3)]),
    "mean": ("ReduceMean", {"keepdims": 0}, [(2, 4, 3, 5), INTEGERS]),
    "total": ("ReduceSum", {}, [(2, 4, 3, 5), INTEGERS]),
    "concat": ("Concat", {"axis": 1}, [(2, 4, 3, 5), (2, 1, 3, 5)]),
    "concat_last": ("Concat", {"axis": -1}, [(2, 4), (2, 3)]),
    "concat_of_samples": ("Concat", {"axis": 0}, [(2, 4), (3, 4)]),
    "concat_of_constants": (
        "Concat",
        {"axis": 1},
        [torch.zeros(2, 3), (2, 4), torch.zeros(2, 1), (2, 2)],
    ),
    "normalisation": (
        "BatchNormalization",
        {"epsilon": 0.1},
        [(2, 4, 3, 5), weights(4), torch.zeros(4), torch.zeros(4), weights(4, 1)[:, 0].square()],
    ),
    "slice": (
        "Slice",
        {},
        [(2, 4, 3, 6), *(torch.tensor(x) for x in ([1, -5], [9, 5], [1, 3], [2, 2]))],
    ),
    "average": ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}, [(2, 9, 6, 5)]),
    "average_padded": (
        "AveragePool",
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
        [(2, 4, 4, 5)],
    ),
    "average_inside": (
        "AveragePool",
        {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 0, 1], "ceil_mode": 1},
        [(2, 19, 6, 5)],
    ),
    "average_1d": ("AveragePool", {"kernel_shape": [3], "pads": [1, 1]}, [(2, 19, 7)]),
    "pad": ("Pad", {}, [(2, 4, 3), torch.tensor([0, 0, 2, 1, 3, 0])]),
    "pad_some_axes": ("Pad", {}, [(2, 4, 3), torch.tensor([1, -1]), None, torch.tensor([-2])]),
    "pad_with_edges": ("Pad", {"mode": "edge"}, [(2, 4, 3), torch.tensor([0, 0, 2, 0, 3, 2])]),
    "pad_reflected": ("Pad", {"mode": "reflect"}, [(2, 4, 3), torch.tensor([0, -1, 2, 0, 3, 1])]),
    "pad_wrapped": ("Pad", {"mode": "wrap"}, [(2, 4, 1), torch.tensor([0, 2, 1, 0, 1, 1])]),
    "window": (
        "Window",
        {
            **{"axis": 3, "kernel": 2, "stride": 2, "dilation": 1, "members": [1]},
            **{"pads": [0, 0], "auto_pad": "NOTSET", "ceil_mode": 0},
        },
        [(2, 4, 3, 6)],
    ),
}
# What binding leaves to `runtime.lifted`.
UNBOUND: dict[str, tuple[str, dict[str, Any], list[Any]]] = {
    "backwards": ("Slice", {}, [(2, 4), *(torch.tensor([x]) for x in (3, 0, 1, -1))]),
    "varying_weight": ("MatMul", {}, [weights(4, 5), (5, 3)]),
    "larger_factor": ("Mul", {}, [(4,), weights(2, 3, 4)]),
    "ranks": ("Add", {}, [(2, 4, 3), (3,)]),
    "scaled": ("Gemm", {"alpha": 0.5}, [(2, 4), weights(4, 5)]),
}


def form(row: tuple[str, dict[str, Any], list[Any]]) -> tuple[Form, dict[int, torch.Tensor]]:
    op_type, attributes, operands = row
    moving = {i: weights(STEPS, *x) for i, x in enumerate(operands) if isinstance(x, tuple)}
    node = Node(op_type, tuple(map(str, range(len(operands)))), ("y",), attributes)
    constants = [None if i in moving else x for i, x in enumerate(operands)]
    first = [moving[i][0] if i in moving else x for i, x in enumerate(operands)]
    shape = LINEAR[op_type].apply(first, attributes)[0].shape
    return Form(node, constants, {i: x.shape[1:] for i, x in moving.items()}, shape), moving


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("recording", [False, True])
def test_a_bound_node_is_its_operator_at_every_step(name: str, recording: bool) -> None:
    node_form, moving = form(ROWS[name])
    bound = bind(node_form)
    assert bound is not None
    with torch.set_grad_enabled(recording):
        found = bound(*moving.values())
    for t in range(STEPS):
        at = [moving[i][t] if i in moving else x for i, x in enumerate(node_form.operands)]
        (expected,) = LINEAR[node_form.node.op_type].apply(at, node_form.node.attributes)
        torch.testing.assert_close(found[t], expected)


@pytest.mark.parametrize("name", UNBOUND)
def test_other_nodes_are_looked_at_each_time(name: str) -> None:
    assert bind(form(UNBOUND[name])[0]) is None
