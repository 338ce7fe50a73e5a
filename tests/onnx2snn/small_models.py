"""Tiny models for the tests of matching, calibration and conversion."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper

torch.set_num_threads(1)  # many small operators: more threads only wait for each other

MODELS = Path(__file__).resolve().parents[2] / "models"
NODE = helper.make_node
RNG = np.random.default_rng(0)
WEIGHTS: Mapping[str, np.ndarray] = {
    "w1": RNG.normal(size=(4, 8)).astype("f"),
    "b1": RNG.normal(size=8).astype("f"),
    "w2": RNG.normal(size=(8, 3)).astype("f"),
    "k": RNG.normal(size=(6, 1, 3, 3)).astype("f"),
}
FC1 = NODE("Gemm", ["x", "w1", "b1"], ["h"], "fc1")
FC2 = NODE("MatMul", ["r", "w2"], ["y"], "fc2")
CONV = NODE("Conv", ["x", "k"], ["c"], "conv", pads=[1, 1, 1, 1])
RELU = NODE("Relu", ["h"], ["r"], "act")


def value(
    name: str, *shape: int | str | None, kind: int = TensorProto.FLOAT
) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def model(
    nodes: Iterable[onnx.NodeProto],
    inputs: Iterable[onnx.ValueInfoProto] = (value("x", "N", 4),),
    outputs: Iterable[onnx.ValueInfoProto] = (value("y", "N", 3),),
    **extra: np.ndarray,
) -> ModelProto:
    """The nodes between `x` and `y`, with those of the weights that they read."""
    nodes = list(nodes)
    read = {name for node in nodes for name in node.input}
    stored = {name: a for name, a in {**WEIGHTS, **extra}.items() if name in read}
    graph = helper.make_graph(
        nodes,
        "small",
        list(inputs),
        list(outputs),
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def of_type(proto: ModelProto, kind: int) -> ModelProto:
    """The model with weights and interface in another floating-point type."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    for tensor in proto.graph.initializer:
        array = numpy_helper.to_array(tensor).astype(dtype)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    for info in (*proto.graph.input, *proto.graph.output):
        info.type.tensor_type.elem_type = kind
    return proto


def samples(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("f")


def answer(
    proto: ModelProto | Path | str, feed: Mapping[str, np.ndarray], basic: bool = False
) -> list[np.ndarray]:
    """What stock onnxruntime computes, without any extension."""
    source = proto.SerializeToString() if isinstance(proto, ModelProto) else str(proto)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if basic:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return session.run(None, dict(feed))


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    error = np.linalg.norm(found.astype("d") - expected.astype("d"))
    return float(error / np.linalg.norm(expected.astype("d")))
