"""Graphs as the exporters of other frameworks write them: TensorFlow, Keras, scikit-learn.

The oracle is onnxruntime on the same file.
"""

import warnings
from collections import Counter

import numpy as np
import onnx
import pytest
from measuring import measured
from onnx import helper, numpy_helper
from small_models import NODE, relative, samples, value

import onnx2snn
from onnx2snn.calibration.ann import open_onnxruntime


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
    feed, test = {"x": samples(64, 8, 8, 3, seed=1)}, {"x": samples(100, 8, 8, 3, seed=2)}
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
    test = samples(50, 6, seed=2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        spiking = onnx2snn.convert(path, {"x": samples(64, 6, seed=1)}, time_steps=16, tuning=0)
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

    x = samples(200, 6, seed=3)
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
