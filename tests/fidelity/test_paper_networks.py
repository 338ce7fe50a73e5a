"""The paper's preset on other networks and schedules, against an independent interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from golden import spikes
from onnx import TensorProto, helper, numpy_helper
from paper_reference import PaperNetwork

import onnx2snn

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


NETS: dict[str, Callable[[], Net]] = {
    "token_mixer": token_mixer,
    "resmlp_gelu": lambda: resmlp("Gelu"),
    "resmlp_relu": lambda: resmlp("Relu"),
    "leaky_conv": lambda: conv_net("LeakyRelu", alpha=0.1),
    "relu_conv": lambda: conv_net("Relu"),
}
SCHEDULES: dict[str, tuple[dict[str, Any], Callable[[int], float]]] = {
    "defaults": ({}, lambda t: 0.15 * 0.95 ** (t - 1)),
    "free": ({"step_size": 0.3, "decay": 0.9}, lambda t: 0.3 * 0.9 ** (t - 1)),
    "inverse": ({"schedule": "inverse", "step_size": 0.8}, lambda t: 0.8 / (t + 1)),
}
TIME_STEPS = 40


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", NETS)
def test_spikes_and_outputs_are_the_reference_interpreters(name: str, schedule: str) -> None:
    net = NETS[name]()
    model, (settings, eta) = net.model(), SCHEDULES[schedule]
    calibration, x = (net.rng.standard_normal((n, *net.shape)).astype(np.float32) for n in (70, 3))
    snn = onnx2snn.convert(
        model, {"x": calibration}, preset="paper", time_steps=TIME_STEPS, **settings
    )
    reference = PaperNetwork(model)
    reference.calibrate(calibration)
    outputs, fired = reference.run(x.astype(np.float64), [eta(t + 1) for t in range(TIME_STEPS)])
    found = spikes(snn, {"x": x}, TIME_STEPS)
    assert len(found) == len(fired[0])
    for i, (site, own) in enumerate(found.items()):
        np.testing.assert_array_equal(own, [step[i] for step in fired], err_msg=site)
    session = onnx2snn.SpikingSession(snn, device="cpu", precision="float64")
    (decoded,) = session.run(None, {"x": x}, at=range(1, TIME_STEPS + 1))
    np.testing.assert_allclose(decoded, outputs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", NETS)
def test_exported_steps_and_stock_runtime(name: str, tmp_path: Any) -> None:
    """The file survives saving; its limit is the ANN, and its exported steps are its own."""
    net = NETS[name]()
    model = net.model()
    x = net.rng.standard_normal((4, *net.shape)).astype(np.float32)
    onnx2snn.save(
        onnx2snn.convert(model, {"x": x}, preset="paper", time_steps=12), tmp_path / "s.onnx"
    )
    session = onnx2snn.SpikingSession(tmp_path / "s.onnx", device="cpu", precision="float64")
    (expected,) = session.run(None, {"x": x})

    def run(proto: onnx.ModelProto) -> Array:
        data = proto.SerializeToString()
        stock = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        return np.asarray(stock.run(["y"], {"x": x})[0])

    exported = onnx2snn.export(tmp_path / "s.onnx", precision="float64")
    np.testing.assert_allclose(run(exported), expected, rtol=0, atol=1e-10)
    limit = run(onnx.load(tmp_path / "s.onnx"))
    np.testing.assert_allclose(limit, run(model), rtol=1e-4, atol=1e-4)
