"""Networks quantised by onnxruntime's own tools, converted and run as spiking ones."""

import logging
import warnings
from functools import cache
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import pytest
from integer_kernels import skip_where_integers_saturate
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from small_models import MODELS, NODE, relative, value
from test_canonical import types

import onnx2snn
from onnx2snn.calibration.ann import open_onnxruntime
from onnx2snn.canonical import canonicalise
from onnx2snn.inspection import inspect_model

SAMPLES = np.load(MODELS / "digits_calibration.npz")["image"][:64]
IMAGES, LABELS = (np.load(MODELS / "digits_test.npz")[key][:100] for key in ("image", "labels"))
SITES = {"vgg": 8, "resnet": 11, "convnext": 15, "resmlp": 6, "mlp_mixer": 25, "regnet": 16}


class Samples(CalibrationDataReader):
    def __init__(self, feed):
        self.feeds = iter([feed])

    def get_next(self):
        return next(self.feeds, None)


def quantised(model, feed, how, per_channel=False):
    """The model as onnxruntime quantises it: QDQ, QOperator or dynamic."""
    logging.getLogger().setLevel(logging.ERROR)
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ready, result = f"{folder}/ready.onnx", f"{folder}/quantised.onnx"
        quant_pre_process(model, ready, skip_symbolic_shape=True)
        if how == "dynamic":
            quantize_dynamic(ready, result)
        else:
            form = QuantFormat[how]
            kinds = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
            quantize_static(
                ready, result, Samples(feed), quant_format=form, per_channel=per_channel, **kinds
            )
        return onnx.load(result)


@cache
def digits(name, how, per_channel):
    return quantised(MODELS / f"digits_{name}.onnx", {"image": SAMPLES[:32]}, how, per_channel)


def answers(model, images, one_by_one=False):
    session = open_onnxruntime(model)
    parts = [images[i : i + 1] for i in range(len(images))] if one_by_one else [images]
    return np.concatenate([session.run(None, {"image": part})[0] for part in parts])


def spiking(model, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return onnx2snn.convert(model, {"image": SAMPLES}, tuning=0, strict=True, **settings)


def accuracy(model):
    (logits,) = onnx2snn.SpikingSession(model, device="cpu").run(None, {"image": IMAGES})
    return (logits.argmax(1) == LABELS).mean()


@cache
def float_accuracy(name):
    """That of the spiking network made from the float one."""
    return accuracy(spiking(onnx.load(MODELS / f"digits_{name}.onnx"), time_steps=16))


FORMS = [("QDQ", True), ("QDQ", False), ("QOperator", True), ("QOperator", False), ("dynamic", 0)]
CASES = [
    pytest.param(name, *form, marks=() if name == "vgg" else pytest.mark.slow)
    for name in SITES
    for form in FORMS
]


@pytest.mark.parametrize(("name", "how", "per_channel"), CASES)
def test_the_limit_is_the_quantised_network(name, how, per_channel):
    """Up to ties: onnxruntime's integer kernels round some halves the other way."""
    if how != "QDQ":
        skip_where_integers_saturate()
    model = digits(name, how, per_channel)
    assert inspect_model(model).counts["analog"] == 0
    images = IMAGES[:30]
    wanted = answers(model, images, one_by_one=how == "dynamic")
    found = answers(spiking(model, time_steps=2), images)
    equal = np.abs(found - wanted) < 1e-3 * np.abs(wanted).max()
    assert equal.mean() > (0.4 if (name, how) == ("resmlp", "QOperator") else 0.9)
    assert relative(found, wanted) < 0.04


@pytest.mark.parametrize(("name", "how", "per_channel"), CASES)
def test_smooth_networks_have_the_sites_and_accuracy_of_the_float_one(name, how, per_channel):
    """Calibrated on what onnxruntime makes of the model, which must be its meaning."""
    if how == "QOperator":
        skip_where_integers_saturate()
    model = digits(name, how, per_channel)
    found = spiking(model, time_steps=16, quantization="smooth")
    sites = sum(node.domain == "onnx2snn" for node in found.graph.node)
    assert sites <= SITES[name] + 3
    assert accuracy(found) >= float_accuracy(name) - 0.02


def test_exact_networks_warn_and_say_what_to_do():
    with pytest.warns(UserWarning, match=r"sites do nothing but round .*--quantization smooth"):
        onnx2snn.convert(digits("vgg", "QDQ", True), {"image": SAMPLES}, time_steps=2, tuning=0)


def mixed():
    """A network with the operators that onnxruntime writes in QLinear form."""
    rng = np.random.default_rng(0)
    nodes = [
        NODE("Conv", ["x", "k", "kb"], ["c"], "conv", pads=[1, 1, 1, 1]),
        NODE("Sigmoid", ["c"], ["s"], "sigmoid"),
        NODE("Mul", ["c", "s"], ["m"], "gate"),
        NODE("LeakyRelu", ["m"], ["l"], "leaky", alpha=0.1),
        NODE("AveragePool", ["l"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        NODE("MaxPool", ["l"], ["o"], "top", kernel_shape=[2, 2], strides=[2, 2]),
        NODE("Concat", ["p", "o"], ["t"], "both", axis=1),
        NODE("GlobalAveragePool", ["t"], ["g"], "mean"),
        NODE("Flatten", ["g"], ["f"], "flat"),
        NODE("Gemm", ["f", "w1", "b1"], ["h"], "fc1", transB=1),
        NODE("MatMul", ["h", "w2"], ["n"], "fc2"),
        NODE("Add", ["n", "h"], ["r"], "sum"),
        NODE("Softmax", ["r"], ["y"], "softmax"),
    ]
    stored = {
        "k": rng.normal(size=(4, 2, 3, 3)).astype("f"),
        "kb": rng.normal(size=4).astype("f"),
        "w1": rng.normal(size=(5, 8)).astype("f"),
        "b1": rng.normal(size=5).astype("f"),
        "w2": rng.normal(size=(5, 5)).astype("f"),
    }
    tensors = [numpy_helper.from_array(array, name) for name, array in stored.items()]
    graph = helper.make_graph(
        nodes, "mixed", [value("x", "N", 2, 6, 6)], [value("y", "N", 5)], tensors
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(("how", "per_channel"), FORMS)
def test_every_quantised_operator(how, per_channel):
    rng = np.random.default_rng(1)
    model = quantised(mixed(), {"x": rng.normal(size=(64, 2, 6, 6)).astype("f")}, how, per_channel)
    assert how != "QOperator" or {"QLinearSoftmax", "QLinearConcat", "QGemm"} <= set(types(model))
    result = canonicalise(model)
    left = [t for t in types(result) if "Linear" in t or "Integer" in t or t == "QGemm"]
    assert not left and inspect_model(model).counts["analog"] == 0
    images = rng.normal(size=(1 if how == "dynamic" else 50, 2, 6, 6)).astype("f")
    wanted, found = (open_onnxruntime(m).run(None, {"x": images})[0] for m in (model, result))
    assert (np.abs(found - wanted) < 1e-4).mean() > 0.85
    assert np.abs(found - wanted).max() < 0.2


@pytest.mark.parametrize(("how", "kind"), [("QDQ", "FakeQuantize"), ("dynamic", "Dynamic*")])
def test_staircases_may_be_left_analog(how, kind):
    model = digits("vgg", how, True)
    found = onnx2snn.convert(
        model, {"image": SAMPLES}, time_steps=16, tuning=0, exclude=(kind,), max_pool="fused"
    )
    assert accuracy(found) > 0.95
