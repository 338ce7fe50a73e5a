"""One network from many exporters: the same sites, the same limit, the same error as an SNN.

Both torch exporters at many opsets, onnxruntime's and onnxsim's optimisation, scikit-learn, and
graphs as tf2onnx writes them. The oracle is onnxruntime on the exported file.
"""

import logging
import warnings
from collections import Counter
from functools import cache
from io import BytesIO

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
import torch.nn.functional as F
from onnx import helper, numpy_helper
from small_models import NODE, relative, value
from torch import nn

import onnx2snn
from onnx2snn.calibration.ann import open_onnxruntime
from onnx2snn.inspection import inspect_model

logging.getLogger("torch.onnx").setLevel(logging.ERROR)
ort.set_default_logger_severity(4)


class Residual(nn.Module):
    """Batch normalisation, max pooling, a residual sum, a mean over the image."""

    def __init__(self, width=8):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(3 if i == 0 else width, width, 3, padding=1, bias=False) for i in range(3)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(3))
        self.head = nn.Linear(width, 10)
        for norm in self.norms:
            norm.running_mean.normal_(std=0.3)
            norm.running_var.uniform_(0.5, 2)

    def forward(self, x):
        steps = list(zip(self.convolutions, self.norms, strict=True))
        x = F.max_pool2d(F.relu(steps[0][1](steps[0][0](x))), 2)
        y = F.relu6(steps[1][1](steps[1][0](x)))
        x = F.relu(x + steps[2][1](steps[2][0](y)))
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class Perceptron(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(12, 32), nn.Linear(32, 16), nn.Linear(16, 4)
        self.norm = nn.BatchNorm1d(32)
        self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x):
        x = torch.tanh(self.norm(self.first(x)))
        return self.last(F.dropout(F.silu(self.second(x)), training=self.training))


class Transformer(nn.Module):
    def __init__(self, width=16, heads=2):
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.up, self.down = nn.Linear(width, 32), nn.Linear(32, width)

    def forward(self, x):
        batch, length, width = x.shape
        shape = (batch, length, 3, self.heads, width // self.heads)
        query, key, values = self.qkv(self.norms[0](x)).reshape(shape).permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-1, -2) * (width // self.heads) ** -0.5
        mixed = (torch.softmax(scores, -1) @ values).transpose(1, 2)
        x = x + self.out(mixed.reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.norms[1](x))))


NETWORKS = {
    "residual": (Residual, (3, 8, 8), Counter(MaxPool=1, Relu=1, Clip=1)),
    "perceptron": (Perceptron, (12,), Counter(Tanh=1, Swish=1)),
    "transformer": (Transformer, (5, 16), Counter(LayerNormalization=2, Softmax=1, Gelu=1)),
}
SCRIPT = [f"script-{opset}" for opset in (9, 11, 13, 15, 17, 18, 20)]
DYNAMO = [f"dynamo-{opset}" for opset in (18, 20, 23)]
OPTIMISED = ["ort-basic", "ort-extended", "onnxsim"]
FAST = {"script-9", "script-13", "script-20", "ort-extended"}


def samples(shape, count, seed):
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype("f")


@cache
def exported(name, how):
    make, shape, _ = NETWORKS[name]
    torch.manual_seed(0)
    network, example = make().eval(), (torch.from_numpy(samples(shape, 2, 0)),)
    names = {"input_names": ["x"], "output_names": ["y"]}
    kind, opset = how.split("-") if how[0] in "sd" else ("script", 17)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "dynamo":
            batch = ({0: torch.export.Dim("batch")},)
            program = torch.onnx.export(
                network, example, dynamo=True, dynamic_shapes=batch, verbose=False,
                opset_version=int(opset), **names,
            )  # fmt: skip
            return program.model_proto
        buffer, axes = BytesIO(), {"x": {0: "batch"}, "y": {0: "batch"}}
        torch.onnx.export(
            network, example, buffer, dynamo=False, dynamic_axes=axes, opset_version=int(opset),
            **names,
        )  # fmt: skip
    return onnx.load_model_from_string(buffer.getvalue())


def optimised(name, how, folder):
    model = exported(name, "script-17")
    if how == "onnxsim":
        simplified, proven = pytest.importorskip("onnxsim").simplify(model)
        assert proven
        return simplified
    options = ort.SessionOptions()
    level = f"ORT_ENABLE_{how.removeprefix('ort-').upper()}"
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(options.optimized_model_filepath)


def measured(model, feed, test, output=None):
    """The sites by operator, the relative error of the limit and that of the SNN."""
    assert inspect_model(model).counts["analog"] == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spiking = onnx2snn.convert(model, feed, time_steps=16, tuning=0)
    names = [output] if output else None
    wanted, limit = (open_onnxruntime(m).run(names, test)[0] for m in (model, spiking))
    (found,) = onnx2snn.SpikingSession(spiking, device="cpu").run(names, test)
    kinds = (n.op_type.removeprefix("Spiking") for n in spiking.graph.node if n.domain)
    return Counter(kinds), relative(limit, wanted), relative(found, wanted)


@cache
def reference(name):
    """The SNN's error for the file of the older exporter at opset 17."""
    shape = NETWORKS[name][1]
    feed, test = {"x": samples(shape, 64, 1)}, {"x": samples(shape, 100, 2)}
    return measured(exported(name, "script-17"), feed, test)[2]


CASES = [
    pytest.param(name, how, marks=() if how in FAST else pytest.mark.slow)
    for name in NETWORKS
    for how in [*SCRIPT, *DYNAMO, *OPTIMISED]
]


@pytest.mark.parametrize(("name", "how"), CASES)
def test_one_network_whoever_exported_it(name, how, tmp_path):
    _, shape, expected = NETWORKS[name]
    feed, test = {"x": samples(shape, 64, 1)}, {"x": samples(shape, 100, 2)}
    model = optimised(name, how, tmp_path) if how in OPTIMISED else exported(name, how)
    sites, limit, error = measured(model, feed, test)
    assert sites == expected
    assert limit < 1e-4
    assert error == pytest.approx(reference(name), rel=0.2)


def tensorflow(rng):
    """A convolutional network as tf2onnx writes it: channels last, between transpositions."""
    nodes = [
        NODE("Transpose", ["x"], ["t0"], "to_nchw", perm=[0, 3, 1, 2]),
        NODE("Pad", ["t0", "pads", "zero"], ["t1"], "pad"),
        NODE("Conv", ["t1", "k0"], ["t2"], "conv0", strides=[2, 2], auto_pad="VALID"),
        NODE("Transpose", ["t2"], ["t3"], "to_nhwc", perm=[0, 2, 3, 1]),
        NODE("Add", ["t3", "b0"], ["t4"], "bias0"),
        NODE("Max", ["t4", "zero"], ["t5"], "low"),
        NODE("Min", ["t5", "six"], ["t6"], "high"),
        NODE("Transpose", ["t6"], ["t7"], "to_nchw2", perm=[0, 3, 1, 2]),
        NODE("Conv", ["t7", "k1", "b1"], ["t8"], "conv1", auto_pad="SAME_UPPER"),
        NODE("Mul", ["t8", "gain"], ["t9"], "norm_gain"),
        NODE("Add", ["t9", "shift"], ["t10"], "norm_shift"),
        NODE("LeakyRelu", ["t10"], ["t11"], "leaky", alpha=0.3),
        NODE("MaxPool", ["t11"], ["t12"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        NODE("GlobalAveragePool", ["t12"], ["t13"], "mean"),
        NODE("Squeeze", ["t13", "space"], ["t14"], "squeeze"),
        NODE("Unsqueeze", ["t14", "one"], ["t15"], "unsqueeze"),
        NODE("Reshape", ["t15", "flat"], ["t16"], "reshape"),
        NODE("MatMul", ["t16", "w"], ["t17"], "dense"),
        NODE("Add", ["t17", "b2"], ["t18"], "bias2"),
        NODE("Softmax", ["t18"], ["y"], "softmax"),
    ]
    stored = {
        "pads": np.array([0, 0, 0, 0, 0, 0, 1, 1]),
        "zero": np.float32(0),
        "six": np.float32(6),
        "space": np.array([2, 3]),
        "one": np.array([1]),
        "flat": np.array([-1, 8]),
        "k0": rng.normal(size=(6, 3, 3, 3)),
        "b0": rng.normal(size=6),
        "k1": rng.normal(size=(8, 6, 2, 2)) / 3,
        "b1": rng.normal(size=8),
        "gain": rng.uniform(0.5, 2, (1, 8, 1, 1)),
        "shift": rng.normal(size=(1, 8, 1, 1)),
        "w": rng.normal(size=(8, 5)),
        "b2": rng.normal(size=5),
    }
    tensors = [
        numpy_helper.from_array(np.asarray(a, "f") if np.asarray(a).dtype.kind == "f" else a, n)
        for n, a in stored.items()
    ]
    ends = [value("x", "N", 8, 8, 3)], [value("y", "N", 5)]
    graph = helper.make_graph(nodes, "tf2onnx", *ends, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


def test_a_network_of_channels_last():
    model = tensorflow(np.random.default_rng(0))
    feed, test = {"x": samples((8, 8, 3), 64, 1)}, {"x": samples((8, 8, 3), 100, 2)}
    sites, limit, error = measured(model, feed, test)
    assert sites == Counter(Clip=1, LeakyRelu=1, MaxPool=1, Softmax=1)
    assert limit < 1e-4 and error < 0.1


def classifier(labels):
    """A model of two outputs, as skl2onnx writes them: labels and maps of probabilities."""
    rng = np.random.default_rng(0)
    text = isinstance(labels[0], str)
    keys = {f"classlabels_{'strings' if text else 'int64s'}": labels}
    ml = {"domain": "ai.onnx.ml"}
    nodes = [
        NODE("MatMul", ["x", "w0"], ["a"], "first"),
        NODE("Tanh", ["a"], ["b"], "tanh"),
        NODE("MatMul", ["b", "w1"], ["c"], "second"),
        NODE("Softmax", ["c"], ["p"], "softmax"),
        NODE("ArgMax", ["p"], ["i"], "argmax", axis=1, keepdims=0),
        NODE("ArrayFeatureExtractor", ["labels", "i"], ["l"], "label", **ml),
        NODE("Reshape", ["l", "flat"], ["output_label"], "flatten"),
        NODE("ZipMap", ["p"], ["output_probability"], "zip", **ml, **keys),
    ]
    stored = {"w0": rng.normal(size=(6, 8)), "w1": rng.normal(size=(8, 3))}
    tensors = [numpy_helper.from_array(a.astype("f"), n) for n, a in stored.items()]
    tensors.append(numpy_helper.from_array(np.array([-1]), "flat"))
    kind = onnx.TensorProto.STRING if text else onnx.TensorProto.INT64
    held = [label.encode() for label in labels] if text else labels
    tensors.append(helper.make_tensor("labels", kind, [3], held))
    entry = helper.make_map_type_proto(kind, helper.make_tensor_type_proto(1, None))
    maps = helper.make_value_info("output_probability", helper.make_sequence_type_proto(entry))
    outputs = [value("output_label", "N", kind=kind), maps]
    graph = helper.make_graph(nodes, "sklearn", [value("x", "N", 6)], outputs, tensors)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


@pytest.mark.parametrize("labels", [["low", "middle", "high"], [3, 1, 2]])
def test_probabilities_come_as_a_tensor(labels, tmp_path):
    path, text = tmp_path / "model.onnx", isinstance(labels[0], str)
    onnx.save(classifier(labels), path)
    test = samples((6,), 50, 2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        spiking = onnx2snn.convert(path, {"x": samples((6,), 64, 1)}, time_steps=16, tuning=0)
    said = [str(warning.message) for warning in caught]
    assert any("'output_label' holds text and is left out" in one for one in said) == text
    session = onnx2snn.SpikingSession(spiking, device="cpu")
    names = [output.name for output in session.get_outputs()]
    results = dict(zip(names, session.run(None, {"x": test}), strict=True))
    wanted = open_onnxruntime(str(path)).run(None, {"x": test})
    expected = np.array([[row[label] for label in labels] for row in wanted[1]])
    assert relative(results["output_probability"], expected) < 0.05
    assert set(results) == {"output_probability"} | (set() if text else {"output_label"})
    if not text:
        assert (results["output_label"] == wanted[0]).mean() > 0.9


@pytest.mark.parametrize(("kind", "activation"), [("regressor", "relu"), ("classifier", "tanh")])
def test_networks_of_scikit_learn(kind, activation):
    skl2onnx = pytest.importorskip("skl2onnx")
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    x = samples((6,), 200, 3)
    how = {"hidden_layer_sizes": (16, 8), "activation": activation, "max_iter": 60}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "regressor":
            network = MLPRegressor(**how, random_state=0).fit(x, x[:, 0] * x[:, 1])
        else:
            network = MLPClassifier(**how, random_state=0).fit(x, (x[:, 0] > 0).astype(str))
    model = skl2onnx.to_onnx(network, x[:1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spiking = onnx2snn.convert(model, {"X": x}, time_steps=32, tuning=0, strict=True)
    (found,) = onnx2snn.SpikingSession(spiking, device="cpu").run(None, {"X": x})
    wanted = network.predict(x) if kind == "regressor" else network.predict_proba(x)
    assert relative(found.reshape(wanted.shape), wanted) < 0.05
