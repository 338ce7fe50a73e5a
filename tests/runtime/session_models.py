"""Small models, one per way a graph can be made up, and their converted forms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

import onnx2snn

Array = NDArray[Any]
Feed = dict[str, Array]
NODE = helper.make_node
TIME_STEPS = 10


class Weights(dict[str, Array]):
    """Initializers by name, drawn when first asked for."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._rng = np.random.default_rng(seed)

    def draw(self, name: str, *shape: int) -> str:
        width = np.sqrt(np.prod(shape[1:]) if len(shape) > 2 else shape[0])
        self[name] = (self._rng.standard_normal(shape) / width).astype(np.float32)
        return name


def build(
    nodes: Sequence[NodeProto],
    inputs: dict[str, Sequence[Any]],
    outputs: dict[str, Sequence[Any]],
    weights: dict[str, Array],
    discrete: Sequence[str] = (),
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [
            helper.make_tensor_value_info(
                n, TensorProto.INT64 if n in discrete else TensorProto.FLOAT, s
            )
            for n, s in outputs.items()
        ],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def conv_net() -> onnx.ModelProto:
    """Convolution, ReLU, padded max pooling, fully connected."""
    w = Weights(1)
    nodes = [
        NODE("Conv", ["x", w.draw("w1", 4, 2, 3, 3), w.draw("b1", 4)], ["c"], pads=[1] * 4),
        NODE("Relu", ["c"], ["r"], "relu"),
        NODE("MaxPool", ["r"], ["p"], "pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
        NODE("Flatten", ["p"], ["f"]),
        NODE("Gemm", ["f", w.draw("w2", 36, 5), w.draw("b2", 5)], ["y"]),
    ]
    return build(nodes, {"x": ["N", 2, 6, 6]}, {"y": ["N", 5]}, w)


def residual_mlp() -> onnx.ModelProto:
    """A token-wise MLP with LayerNormalization, GELU and a residual, twice."""
    w = Weights(2)
    nodes, x = [], "x"
    for i in range(2):
        w[f"g{i}"], w[f"o{i}"] = np.full(6, 1.1, "f"), np.full(6, 0.1, "f")
        nodes += [
            NODE("LayerNormalization", [x, f"g{i}", f"o{i}"], [f"n{i}"], f"norm{i}", axis=-1),
            NODE("MatMul", [f"n{i}", w.draw(f"u{i}", 6, 9)], [f"a{i}"]),
            NODE("Gelu", [f"a{i}"], [f"h{i}"], f"gelu{i}"),
            NODE("MatMul", [f"h{i}", w.draw(f"d{i}", 9, 6)], [f"e{i}"]),
            NODE("Add", [x, f"e{i}"], [f"r{i}"]),
        ]
        x = f"r{i}"
    return build([*nodes, NODE("Identity", [x], ["y"])], {"x": ["N", 3, 6]}, {"y": ["N", 3, 6]}, w)


def analog_middle() -> onnx.ModelProto:
    """Sign, excluded, stays analog between spiking nodes; ArgMax and Cast at the end."""
    w = Weights(3)
    nodes = [
        NODE("Gemm", ["x", w.draw("w1", 6, 8), w.draw("b1", 8)], ["a"]),
        NODE("Relu", ["a"], ["r"], "relu"),
        NODE("Softmax", ["r"], ["s"], "softmax", axis=-1),
        NODE("Sign", ["a2"], ["sign"], "sign"),
        NODE("Gemm", ["s", w.draw("w2", 8, 5), w.draw("b2", 5)], ["g"]),
        NODE("Tanh", ["g"], ["t"], "tanh"),
        NODE("Add", ["t", "sign"], ["y"]),
        NODE("ArgMax", ["y"], ["label"], "argmax", axis=1, keepdims=0),
        NODE("Cast", ["y"], ["whole"], "cast", to=TensorProto.INT64),
    ]
    nodes.insert(3, NODE("Gemm", ["r", w.draw("w3", 8, 5)], ["a2"]))
    outputs = {"y": ["N", 5], "label": ["N"], "whole": ["N", 5]}
    return build(
        nodes, {"x": ["N", 6]}, outputs, {k: w[k] for k in w if k != "axes"}, ["label", "whole"]
    )


def products() -> onnx.ModelProto:
    """Gating and attention-like scores: products of two signals; two inputs, two outputs."""
    w = Weights(4)
    nodes = [
        NODE("MatMul", ["x", w.draw("w1", 4, 6)], ["a"]),
        NODE("MatMul", ["z", w.draw("w2", 5, 6)], ["b"]),
        NODE("Sigmoid", ["a"], ["s"], "sigmoid"),
        NODE("Relu", ["b"], ["r"], "relu"),
        NODE("Mul", ["s", "r"], ["m"], "gate"),
        NODE("Transpose", ["r"], ["rt"], perm=[0, 2, 1]),
        NODE("MatMul", ["s", "rt"], ["scores"], "scores"),
        NODE("MatMul", ["m", w.draw("w3", 6, 3)], ["o"]),
        NODE("Tanh", ["o"], ["y"], "tanh"),
    ]
    inputs = {"x": ["N", 3, 4], "z": ["N", 3, 5]}
    return build(nodes, inputs, {"y": ["N", 3, 3], "scores": ["N", 3, 3]}, w)


def attention() -> onnx.ModelProto:
    """Two heads attend to tokens, which weights that come with them hide or average."""
    w = Weights(9)
    w["split"], w["joined"], w["tokens"] = (
        np.array([0, 5, 2, 4]),
        np.array([0, 5, 8]),
        np.array([1]),
    )
    w["ahead"], w["last"], w["small"] = np.array([1, 2]), np.array([2]), np.array([0.1], "f")
    nodes = [
        NODE("MatMul", ["x", w.draw("w0", 6, 8)], ["embedded"]),
        NODE("LayerNormalization", ["embedded", w.draw("gain", 8)], ["n"], "norm"),
        *(NODE("MatMul", ["n", w.draw(f"w{i}", 8, 8)], [f"{i}"]) for i in "qkv"),
        *(NODE("Reshape", [i, "split"], [f"{i}s"]) for i in "qkv"),
        NODE("Transpose", ["qs"], ["qt"], perm=[0, 2, 1, 3]),
        NODE("Transpose", ["ks"], ["kt"], perm=[0, 2, 3, 1]),
        NODE("Transpose", ["vs"], ["vt"], perm=[0, 2, 1, 3]),
        NODE("MatMul", ["qt", "kt"], ["scores"]),
        NODE("Unsqueeze", ["mask", "ahead"], ["hidden"]),
        NODE("Add", ["scores", "hidden"], ["masked"]),
        NODE("Softmax", ["masked"], ["shares"], "shares"),
        NODE("MatMul", ["shares", "vt"], ["context"]),
        NODE("Transpose", ["context"], ["together"], perm=[0, 2, 1, 3]),
        NODE("Reshape", ["together", "joined"], ["attended"]),
        NODE("MatMul", ["attended", w.draw("wo", 8, 8)], ["o"]),
        NODE("Relu", ["o"], ["r"], "relu"),
        NODE("Mul", ["mask", "mask"], ["squares"]),
        NODE("Add", ["squares", "small"], ["weights"]),
        NODE("Unsqueeze", ["weights", "last"], ["column"]),
        NODE("Mul", ["r", "column"], ["weighed"]),
        NODE("ReduceSum", ["weighed", "tokens"], ["sum"], keepdims=0),
        NODE("ReduceSum", ["weights", "tokens"], ["total"], keepdims=1),
        NODE("Div", ["sum", "total"], ["y"]),
    ]
    return build(nodes, {"x": ["N", 5, 6], "mask": ["N", 5]}, {"y": ["N", 8]}, w)


def convolutional() -> onnx.ModelProto:
    """Fully convolutional with padding; every spatial size goes."""
    w = Weights(5)
    nodes = [
        NODE("Conv", ["x", w.draw("w1", 3, 2, 3, 3), w.draw("b1", 3)], ["c"], pads=[1] * 4),
        NODE("Relu", ["c"], ["r"], "relu"),
        NODE("MaxPool", ["r"], ["p"], "pool", kernel_shape=[3, 3], pads=[1] * 4),
        NODE("Conv", ["p", w.draw("w2", 2, 3, 1, 1)], ["d"]),
        NODE("GlobalAveragePool", ["d"], ["y"]),
    ]
    return build(nodes, {"x": ["N", 2, "H", "W"]}, {"y": ["N", 2, 1, 1]}, w)


def gated() -> onnx.ModelProto:
    """Squeeze and excitation: each channel is multiplied by one signal, that by itself."""
    w = Weights(6)
    nodes = [
        NODE("Conv", ["x", w.draw("w1", 5, 2, 3, 3), w.draw("b1", 5)], ["c"], pads=[1] * 4),
        NODE("Relu", ["c"], ["r"], "relu"),
        NODE("GlobalAveragePool", ["r"], ["p"]),
        NODE("Conv", ["p", w.draw("w2", 5, 5, 1, 1), w.draw("b2", 5)], ["e"]),
        NODE("Sigmoid", ["e"], ["s"], "sigmoid"),
        NODE("Mul", ["s", "r"], ["m"], "gate"),
        NODE("Mul", ["s", "s"], ["q"], "square"),
        NODE("Conv", ["m", w.draw("w3", 5, 5, 3, 3)], ["d"], pads=[1] * 4),
        NODE("Add", ["d", "q"], ["y"]),
    ]
    return build(nodes, {"x": ["N", 2, 5, 4]}, {"y": ["N", 5, 5, 4], "m": ["N", 5, 5, 4]}, w)


def in_bytes() -> onnx.ModelProto:
    """Channels by eights, in groups, scaled, and pixels with more and fewer taps."""
    w = Weights(7)
    w["gain"] = np.linspace(-1.5, 2, 16, dtype="f").reshape(16, 1, 1)
    nodes = [
        NODE("Conv", ["x", w.draw("w1", 8, 2, 3, 3), w.draw("b1", 8)], ["c"], pads=[1] * 4),
        NODE("Relu", ["c"], ["r"], "relu"),
        NODE("Conv", ["r", w.draw("w2", 16, 8, 3, 3)], ["d"], pads=[1] * 4),
        NODE("Tanh", ["d"], ["t"], "tanh"),
        NODE("Mul", ["t", "gain"], ["m"]),
        NODE(
            "Conv", ["m", w.draw("w3", 24, 8, 3, 3)], ["e"], pads=[2] * 4, group=2, strides=[2, 2]
        ),
        NODE("Sigmoid", ["e"], ["s"], "sigmoid"),
        NODE("GlobalAveragePool", ["s"], ["p"]),
        NODE("Flatten", ["p"], ["f"]),
        NODE("Gemm", ["f", w.draw("w4", 24, 8), w.draw("b4", 8)], ["g"]),
        NODE("Relu", ["g"], ["h"], "hidden"),
        NODE("Gemm", ["h", w.draw("w5", 8, 21)], ["y"]),
    ]
    return build(nodes, {"x": ["N", 2, 6, 5]}, {"y": ["N", 21]}, w)


MODELS: dict[str, tuple[Callable[[], onnx.ModelProto], dict[str, tuple[int, ...]]]] = {
    "conv_net": (conv_net, {"x": (2, 6, 6)}),
    "residual_mlp": (residual_mlp, {"x": (3, 6)}),
    "analog_middle": (analog_middle, {"x": (6,)}),
    "products": (products, {"x": (3, 4), "z": (3, 5)}),
    "attention": (attention, {"x": (5, 6), "mask": (5,)}),
    "convolutional": (convolutional, {"x": (2, 5, 4)}),
    "gated": (gated, {"x": (2, 5, 4)}),
    "in_bytes": (in_bytes, {"x": (2, 6, 5)}),
}


def feed(name: str, samples: int, seed: int = 7) -> Feed:
    rng = np.random.default_rng(seed)
    shapes = MODELS[name][1]
    return {n: rng.standard_normal((samples, *s)).astype(np.float32) for n, s in shapes.items()}


@cache
def spiking(
    name: str,
    spikes: str = "binary",
    layer_norm: str = "decomposed",
    windows: str = "synchronous",
    bypass: str = "linear",
) -> onnx.ModelProto:
    """The converted model; calls share it, so nobody may change it."""
    settings = {
        "time_steps": TIME_STEPS,
        "exclude": ("Sign",),
        "spikes": spikes,
        "layer_norm": layer_norm,
        "max_pool": "tree" if name == "conv_net" else "fused",
        "tuning": 2,
        "windows": windows,
        "bypass": bypass if windows == "synchronous" else "none",
    }
    return onnx2snn.convert(MODELS[name][0](), feed(name, 32, 3), **settings)
