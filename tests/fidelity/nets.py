"""Small networks with random weights, as ONNX models."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray[Any, Any]


class Net:
    """Nodes and random weights, one after another."""

    def __init__(self, seed: int, *shape: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.shape, self.nodes, self.weights = shape, [], {}
        self.last = "x"

    def weight(self, *shape: int, gain: float = 1.0, offset: float = 0.0) -> str:
        name = f"w{len(self.weights)}"
        width = np.sqrt(max(np.prod(shape[1:]), 1)) if len(shape) > 2 else np.sqrt(shape[0])
        array = gain * self.rng.standard_normal(shape) / width + offset
        self.weights[name] = array.astype(np.float32)
        return name

    def add(self, op_type: str, *more: str, of: str = "", **attributes: Any) -> str:
        name = f"n{len(self.nodes)}"
        inputs = [of or self.last, *more]
        self.nodes.append(helper.make_node(op_type, inputs, [name], name, **attributes))
        self.last = name
        return name

    def model(self) -> onnx.ModelProto:
        info = helper.make_tensor_value_info
        self.nodes[-1].output[0] = "y"
        graph = helper.make_graph(
            self.nodes,
            "net",
            [info("x", TensorProto.FLOAT, ["N", *self.shape])],
            [info("y", TensorProto.FLOAT, ["N", 5])],
            [numpy_helper.from_array(a, n) for n, a in self.weights.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)

    def layer_norm(self, width: int) -> None:
        gain, bias = self.weight(width, gain=0.3, offset=1.0), self.weight(width)
        self.add("LayerNormalization", gain, bias, axis=-1, epsilon=1e-6)

    def affine(self, width: int) -> None:
        self.add("Mul", self.weight(width, gain=0.3, offset=1.0))
        self.add("Add", self.weight(width))

    def mlp(self, width: int, hidden: int, activation: str) -> None:
        self.add("MatMul", self.weight(width, hidden, gain=2.0))
        self.add("Add", self.weight(hidden))
        self.add(activation)
        self.add("MatMul", self.weight(hidden, width))
        self.add("Add", self.weight(width))


def token_mixer() -> Net:
    net = Net(1, 6, 8)
    for tokens in (True, False):
        before = net.last
        net.layer_norm(8)
        if tokens:
            net.add("Transpose", perm=[0, 2, 1])
        net.mlp(6 if tokens else 8, 12, "Gelu")
        if tokens:
            net.add("Transpose", perm=[0, 2, 1])
        net.add("Add", before)
    net.layer_norm(8)
    net.weights["axes"] = np.array([1])
    net.add("ReduceMean", "axes", keepdims=0)
    net.add("Gemm", net.weight(8, 5), net.weight(5))
    return net


def resmlp(activation: str) -> Net:
    net = Net(2, 6, 8)
    for _ in range(2):
        before = net.last
        net.affine(8)
        net.add("Transpose", perm=[0, 2, 1])
        net.add("MatMul", net.weight(6, 6))
        net.add("Transpose", perm=[0, 2, 1])
        net.add("Mul", net.weight(8))
        before = net.add("Add", before)
        net.affine(8)
        net.mlp(8, 16, activation)
        net.add("Add", before)
    net.weights["axes"] = np.array([1])
    net.add("ReduceMean", "axes", keepdims=0)
    net.add("Gemm", net.weight(8, 5), net.weight(5))
    return net


def conv_net(activation: str, **attributes: float) -> Net:
    net = Net(3, 2, 11, 14)
    net.add("Conv", net.weight(6, 2, 3, 3, gain=2.0), net.weight(6), pads=[1, 1, 1, 1])
    net.add(activation, **attributes)
    net.add("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    net.add("Conv", net.weight(6, 6, 3, 3, gain=2.0), net.weight(6), pads=[1, 1, 1, 1])
    net.add(activation, **attributes)
    net.add("MaxPool", kernel_shape=[2, 3], strides=[1, 2])
    net.add("GlobalAveragePool")
    net.add("Flatten")
    net.add("Gemm", net.weight(6, 5), net.weight(5))
    return net


def average_net() -> Net:
    """Convolutions, ReLU, average pooling, a residual sum, fully connected layers."""
    net = Net(4, 2, 8, 8)
    net.add("Conv", net.weight(6, 2, 3, 3, gain=2.0), net.weight(6), pads=[1, 1, 1, 1])
    before = net.add("Relu")
    net.add("Conv", net.weight(6, 6, 3, 3, gain=2.0), net.weight(6), pads=[1, 1, 1, 1])
    net.add("Add", before)
    net.add("Relu")
    net.add("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    net.add("Flatten")
    net.add("Gemm", net.weight(96, 12), net.weight(12))
    net.add("Relu")
    net.add("Gemm", net.weight(12, 5), net.weight(5))
    return net
