"""Plans: roles, what varies, what is freed when, and damaged site parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper
from session_models import MODELS, NODE, Array, feed, spiking

from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.graph import read_graph
from onnx2snn.runtime.plan import (
    ConstantStep,
    DifferenceStep,
    LinearStep,
    Plan,
    SiteStep,
    compile_plan,
    step_inputs,
    step_outputs,
)
from onnx2snn.runtime.session import SpikingSession

DOMAIN = "onnx2snn"
_INT64 = TensorProto.INT64
W = np.ones((4, 4), np.float32)


def plan_of(
    nodes: Sequence[NodeProto],
    weights: Mapping[str, Array] | None = None,
    outputs: Sequence[str] = ("y",),
    inputs: Mapping[str, int] | None = None,
) -> Plan:
    inputs = {"x": TensorProto.FLOAT} if inputs is None else inputs
    whole = [n for n in nodes if n.op_type in ("ArgMax", "Cast", "Shape", "Size")]
    types = {n.output[0]: next((a.i for a in n.attribute if a.name == "to"), _INT64) for n in whole}
    types.update({n.output[0]: TensorProto.BOOL for n in nodes if n.op_type == "Greater"})
    graph = helper.make_graph(
        nodes,
        "plan",
        [helper.make_tensor_value_info(n, kind, [2, 4]) for n, kind in inputs.items()],
        [onnx.ValueInfoProto(name=n) for n in outputs],
        [numpy_helper.from_array(a, n) for n, a in (weights or {"w": W}).items()],
    )
    for value in graph.output:
        value.type.tensor_type.elem_type = types.get(value.name, TensorProto.FLOAT)
    imports = [helper.make_opsetid("", 20), helper.make_opsetid(DOMAIN, 1)]
    return compile_plan(read_graph(helper.make_model(graph, opset_imports=imports, ir_version=10)))


def relu(x: str, y: str) -> NodeProto:
    return NODE("SpikingRelu", [x], [y], f"relu_{y}", domain=DOMAIN)


def role(plan: Plan, output: str) -> tuple[type, str]:
    (step,) = (s for s in plan.steps if output in step_outputs(s))
    return type(step), "" if isinstance(step, SiteStep) else step.role


CONSTANT, LINEAR, DIFFERENCE = ConstantStep, LinearStep, DifferenceStep
ROLES: list[tuple[NodeProto, type, str]] = [
    (NODE("MatMul", ["x", "w"], ["y"]), CONSTANT, "linear"),
    (NODE("Sign", ["x"], ["y"]), CONSTANT, "analog"),
    (NODE("Mul", ["x", "x"], ["y"]), CONSTANT, "product"),
    (NODE("Neg", ["w"], ["y"]), CONSTANT, "shape"),
    (NODE("Shape", ["x"], ["y"]), CONSTANT, "shape"),
    (NODE("Shape", ["r"], ["y"]), CONSTANT, "shape"),
    (NODE("Size", ["s"], ["y"]), CONSTANT, "shape"),
    (NODE("MatMul", ["r", "w"], ["y"]), LINEAR, "linear"),
    (NODE("MatMul", ["w", "r"], ["y"]), LINEAR, "linear"),
    (NODE("MatMul", ["x", "r"], ["y"]), LINEAR, "linear"),
    (NODE("Add", ["r", "s"], ["y"]), LINEAR, "linear"),
    (NODE("Add", ["r", "r"], ["y"]), LINEAR, "linear"),
    (NODE("Div", ["r", "w"], ["y"]), LINEAR, "linear"),
    (NODE("Gemm", ["x", "w", "r"], ["y"]), LINEAR, "linear"),
    (NODE("Concat", ["r", "x", "s"], ["y"], axis=0), LINEAR, "linear"),
    (NODE("MatMul", ["r", "s"], ["y"]), DIFFERENCE, "product"),
    (NODE("Mul", ["r", "r"], ["y"]), DIFFERENCE, "product"),
    (NODE("Div", ["x", "r"], ["y"]), DIFFERENCE, "analog"),
    (NODE("Div", ["r", "s"], ["y"]), DIFFERENCE, "analog"),
    (NODE("Softmax", ["r"], ["y"]), DIFFERENCE, "analog"),
    (NODE("ArgMax", ["r"], ["y"]), DIFFERENCE, "analog"),
    (NODE("Cast", ["r"], ["y"], to=TensorProto.INT64), DIFFERENCE, "analog"),
    (NODE("Cast", ["r"], ["y"], to=TensorProto.DOUBLE), LINEAR, "linear"),
    (NODE("Greater", ["r", "w"], ["y"]), DIFFERENCE, "analog"),
    (NODE("ScatterND", ["r", "at", "s"], ["y"]), LINEAR, "linear"),
    (NODE("ScatterND", ["r", "at", "s"], ["y"], reduction="max"), DIFFERENCE, "analog"),
]


@pytest.mark.parametrize(("node", "kind", "expected"), ROLES, ids=lambda v: getattr(v, "name", ""))
def test_roles(node: NodeProto, kind: type, expected: str) -> None:
    plan = plan_of([relu("x", "r"), relu("w2", "s"), node], {"w": W, "w2": W})
    assert role(plan, "y") == (kind, expected)
    assert role(plan, "r")[0] is SiteStep
    assert ("y" in plan.varying) == (kind is not ConstantStep)


def test_integers_that_steer_shapes_are_no_signals() -> None:
    nodes = [
        NODE("Shape", ["x"], ["shape"]),
        NODE("Reshape", ["r", "shape"], ["y"]),
        NODE("Gather", ["w", "ids"], ["rows"]),
    ]
    inputs = {"x": TensorProto.FLOAT, "ids": TensorProto.INT64}
    plan = plan_of([relu("x", "r"), *nodes], inputs=inputs, outputs=("y", "rows"))
    assert role(plan, "y") == (LinearStep, "linear")
    assert role(plan, "rows") == (ConstantStep, "shape")
    shape_only = {
        step_outputs(s)[0]: s.shape_only for s in plan.steps if isinstance(s, ConstantStep)
    }
    assert shape_only == {"shape": True, "rows": False}


def test_only_tensors_whose_value_is_needed_are_integrated() -> None:
    nodes = [
        relu("x", "r"),
        NODE("MatMul", ["r", "w"], ["a"]),
        NODE("Neg", ["a"], ["b"]),
        relu("b", "s"),
        NODE("Neg", ["s"], ["y"]),
    ]
    plan = plan_of(nodes)
    assert plan.integrated == {"b", "y"}
    assert {"r", "s", "b", "y", "w"} <= plan.kept and "a" not in plan.kept


@pytest.mark.parametrize("name", MODELS)
def test_nothing_is_freed_before_its_last_reader(name: str) -> None:
    plan = compile_plan(read_graph(spiking(name)))
    freed: set[str] = set()
    for step, names in zip(plan.steps, plan.last_use, strict=True):
        assert not freed & {*step_inputs(step), *step_outputs(step)}
        freed.update(names)
    written = {name for step in plan.steps for name in step_outputs(step)}
    assert written <= freed
    assert plan.integrated <= plan.varying


@pytest.mark.parametrize("name", MODELS)
def test_every_tensor_is_written_before_it_is_read(name: str) -> None:
    plan = compile_plan(read_graph(spiking(name)))
    known = {*plan.constants, *(info.name for info in plan.graph.inputs)}
    for step in plan.steps:
        assert set(step_inputs(step)) <= known
        known.update(step_outputs(step))


def damaged(change: Callable[[Array], Array | None], parameter: str) -> onnx.ModelProto:
    """conv_net with one parameter of its ReLU replaced, or left out where `change` gives None."""
    model = onnx.ModelProto()
    model.CopyFrom(spiking("conv_net"))
    (tensor,) = (t for t in model.graph.initializer if t.name == f"relu/output/{parameter}")
    array = change(numpy_helper.to_array(tensor).copy())
    if array is None:
        model.graph.initializer.remove(tensor)
    else:
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return model


def with_nan(array: Array) -> Array:
    array = np.atleast_1d(array)
    array.flat[0] = np.nan
    return array


DAMAGE: list[tuple[str, str, Callable[[Array], Any], str]] = [
    ("no scale", "scale", lambda a: None, "scale"),
    ("no step sizes", "step_sizes", lambda a: None, "step_sizes"),
    ("nan scale", "scale", with_nan, "NaN|finite"),
    ("nan initial", "initial", with_nan, "NaN|finite"),
    ("infinite steps", "step_sizes", lambda a: a * np.inf, "finite|infinite"),
    ("negative scale", "scale", lambda a: -1 - a, "must be positive"),
    ("zero scale", "scale", lambda a: 0 * a, "must be positive"),
    ("negative steps", "step_sizes", lambda a: -a, "must be positive"),
    ("integers", "initial", lambda a: a.astype(np.int64), "int64|floating"),
    ("no time axis", "step_sizes", lambda a: a.ravel()[0].reshape(()), "time axis"),
    ("no steps", "step_sizes", lambda a: a[:0], "time axis"),
    ("wide initial", "initial", lambda a: np.ones((7, 1, 1), np.float32), "initial.*does not fit"),
    ("wide steps", "step_sizes", lambda a: np.ones((10, 7, 1, 1), np.float32), "fit"),
    ("deep steps", "step_sizes", lambda a: np.ones((10, 2, 1, 1, 1, 1), np.float32), "fit"),
    ("wide scale", "scale", lambda a: np.ones((7, 1, 1), np.float32), "fit"),
]


@pytest.mark.parametrize(
    ("parameter", "change", "message"), [row[1:] for row in DAMAGE], ids=[row[0] for row in DAMAGE]
)
def test_damaged_parameters(parameter: str, change: Callable[[Array], Any], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        SpikingSession(damaged(change, parameter), device="cpu").run(None, feed("conv_net", 2))
    assert "\n" not in str(caught.value) and "relu" in str(caught.value)


def test_a_spiking_node_without_parameters_is_named() -> None:
    model = onnx.ModelProto()
    model.CopyFrom(spiking("conv_net"))
    (node,) = (n for n in model.graph.node if n.name == "relu")
    del node.input[1:]
    with pytest.raises(ModelError, match=r"relu.*missing"):
        SpikingSession(model, device="cpu")
    node.input.append("relu/output/scale")
    with pytest.raises(ModelError, match=r"'relu'.*needs 4 parameters"):
        SpikingSession(model, device="cpu")
