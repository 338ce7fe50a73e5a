from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.node import Node
from onnx2snn.runtime.fallback import SingleNode, _reason

OPSETS = {"": 21}


def run(op_type: str, *operands: torch.Tensor | None, **attributes: Any) -> list[torch.Tensor]:
    names = tuple("" if t is None else f"x{i}" for i, t in enumerate(operands))
    return SingleNode(Node(op_type, names, ("y",), attributes), OPSETS)(operands)


@pytest.mark.parametrize(
    ("op_type", "operands", "attributes", "expected"),
    [
        ("Shape", [torch.zeros(2, 3)], {"start": 1}, torch.tensor([3])),
        ("Size", [torch.zeros(2, 3)], {}, torch.tensor(6)),
        ("Range", [torch.tensor(1), torch.tensor(7), torch.tensor(2)], {}, torch.tensor([1, 3, 5])),
        (
            "ConstantOfShape",
            [torch.tensor([2, 1])],
            {"value": np.array([7], np.int64)},
            torch.full((2, 1), 7),
        ),
        ("Equal", [torch.tensor([1, 2]), torch.tensor([1, 3])], {}, torch.tensor([True, False])),
        ("Max", [torch.tensor([1, 5]), torch.tensor([4])], {}, torch.tensor([4, 5])),
        ("Erf", [torch.linspace(-2, 2, 9)], {}, torch.erf(torch.linspace(-2, 2, 9))),
        ("Clip", [torch.arange(4.0), None, torch.tensor(2.0)], {}, torch.arange(4.0).clamp(max=2)),
        ("Softmax", [torch.eye(3)], {"axis": 0}, torch.eye(3).softmax(0)),
    ],
)
def test_operators(
    op_type: str,
    operands: list[torch.Tensor | None],
    attributes: dict[str, Any],
    expected: torch.Tensor,
) -> None:
    (result,) = run(op_type, *operands, **attributes)
    torch.testing.assert_close(result, expected)


def test_float64_is_kept_where_onnxruntime_has_a_kernel() -> None:
    x = torch.linspace(0.1, 2, 7, dtype=torch.float64)
    torch.testing.assert_close(run("Log", x)[0], x.log(), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions_pass_through_float32(dtype: torch.dtype) -> None:
    x = torch.linspace(-2, 2, 9, dtype=dtype)
    (result,) = run("Erf", x)
    assert result.dtype == dtype
    torch.testing.assert_close(result, torch.erf(x.float()).to(dtype))


def test_integer_results_of_half_operands_stay_integers() -> None:
    (result,) = run("ArgMax", torch.tensor([[1.0, 3.0]], dtype=torch.bfloat16), axis=1)
    assert result.tolist() == [[1]]
    assert result.dtype == torch.int64


def test_sessions_are_cached_by_type_and_rank() -> None:
    node = SingleNode(Node("Abs", ("x",), ("y",)), OPSETS)
    for shape in [(2, 3), (4, 5)]:
        node([-torch.ones(shape)])
    assert node.session_count == 1
    node([-torch.ones(3)])
    node([-torch.ones(3, dtype=torch.float64)])
    assert node.session_count == 3


def test_absent_outputs_keep_their_places() -> None:
    x = torch.arange(6.0).reshape(3, 2)
    values, indices = SingleNode(Node("TopK", ("x", "k"), ("", "i"), {"axis": 0}), OPSETS)(
        [x, torch.tensor([1])]
    )
    assert values.numel() == 0
    assert indices.tolist() == [[2, 2]]
    first, _, last = SingleNode(Node("Split", ("x",), ("a", "", "c"), {"num_outputs": 3}), OPSETS)(
        [x]
    )
    assert first.tolist() == [[0, 1]]
    assert last.tolist() == [[4, 5]]


@pytest.mark.parametrize(
    ("domain", "shown"), [("", "ai.onnx"), ("acme.custom", "acme.custom")], ids=["standard", "own"]
)
def test_an_unknown_operator_is_named_in_one_line(domain: str, shown: str) -> None:
    node = SingleNode(Node("Frobnicate", ("x",), ("y",), domain=domain), OPSETS)
    with pytest.raises(ModelError) as error:
        node([torch.ones(2)])
    assert "Frobnicate" in str(error.value)
    assert shown in str(error.value)
    assert "--exclude" in str(error.value)
    assert "\n" not in str(error.value)


def test_operands_that_do_not_fit_are_a_model_error() -> None:
    with pytest.raises(ModelError, match="onnxruntime refuses MatMul: matmul_helper"):
        run("MatMul", torch.ones(2, 3), torch.ones(2, 3))


def test_an_opset_beyond_onnxruntime_is_none_for_an_old_operator() -> None:
    node = SingleNode(Node("Erf", ("x",), ("y",)), {"": onnx.defs.onnx_opset_version()})
    torch.testing.assert_close(node([torch.ones(2)])[0], torch.erf(torch.ones(2)))


def _branch(name: str, node: onnx.NodeProto) -> onnx.GraphProto:
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    return helper.make_graph([node], name, [], [output])


def test_an_operator_newer_than_onnxruntime_is_told_from_an_unknown_one() -> None:
    error = RuntimeError(
        "[ONNXRuntimeError] : 1 : FAIL : ... Opset 99 is under development and ..."
    )
    reason = _reason(error, Node("Mod", ("x", "y"), ("z",)))
    assert reason == "onnxruntime does not know Mod as of opset 99 yet"


def test_subgraphs_read_what_they_capture() -> None:
    constant = _branch("constant", helper.make_node("Constant", [], ["out"], value_float=2.0))
    capturing = _branch("captures", helper.make_node("Neg", ["outside"], ["out"]))
    branches = {"then_branch": capturing, "else_branch": constant}
    node = Node("If", ("condition", "renamed"), ("y",), branches)
    for condition, expected in ((True, -3.0), (False, 2.0)):
        (result,) = SingleNode(node, OPSETS)([torch.tensor(condition), torch.tensor(3.0)])
        assert result.item() == expected


def test_an_operator_outside_the_standard_runs_if_onnxruntime_has_it() -> None:
    node = Node("FastGelu", ("x",), ("y",), domain="com.microsoft")
    x = torch.linspace(-2, 2, 5)
    (result,) = SingleNode(node, OPSETS)([x])
    expected = torch.nn.functional.gelu(x, approximate="tanh")
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)
