"""Exported models in stock onnxruntime against the runtime: every spike of every step."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from export_rows import finished, writer
from onnx import helper
from onnx.reference import ReferenceEvaluator
from small_models import FC1, MODELS, NODE, RELU, model, samples
from spikes import answers, mismatches, of_loop, of_runtime, of_steps

import onnx2snn
from onnx2snn.inspection import inspect_model
from onnx2snn.ops.errors import ModelError

sys.path.append(str(Path(__file__).parents[1] / "runtime"))
import session_models

KINDS = [
    *((name, "binary", "decomposed", "synchronous") for name in session_models.MODELS),
    *((name, "ternary", "decomposed", "synchronous") for name in session_models.MODELS),
    ("residual_mlp", "binary", "fused", "synchronous"),
    ("residual_mlp", "binary", "decomposed", "0.5"),
    ("conv_net", "ternary", "decomposed", "sequential"),
]


def compared(found: Any, expected: Any) -> tuple[float, float]:
    """Share of spikes that differ, and the largest difference of the outputs."""
    (outputs, spikes), (reference, true_spikes) = found, expected
    assert outputs.keys() == reference.keys()
    differing, total = mismatches(spikes, true_spikes)
    assert total > 0
    return differing / total, max(
        float(np.abs(outputs[n].astype(np.float64) - a).max()) for n, a in reference.items()
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(kind))
def test_float64_spikes_are_the_runtimes(kind: tuple[str, ...]) -> None:
    spiking, feed = session_models.spiking(*kind), session_models.feed(kind[0], 3)
    loop, runtime = (run(spiking, feed, "float64") for run in (of_loop, of_runtime))
    share, error = compared(loop, runtime)
    assert share == 0 and error < 1e-12


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(kind))
def test_float32_spikes_are_the_runtimes_up_to_ties(kind: tuple[str, ...]) -> None:
    spiking, feed = session_models.spiking(*kind), session_models.feed(kind[0], 3)
    loop, runtime = (run(spiking, feed, "float32") for run in (of_loop, of_runtime))
    share, error = compared(loop, runtime)
    assert share < 1e-3 and error < 1e-2
    assert [a.dtype for a in loop[0].values()] == [a.dtype for a in runtime[0].values()]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(kind))
def test_step_by_step(kind: tuple[str, ...]) -> None:
    """Start and step models, the caller carrying the states, at every step."""
    spiking, feed = session_models.spiking(*kind), session_models.feed(kind[0], 2)
    session = onnx2snn.SpikingSession(spiking, device="cpu", precision="float64")
    outputs, spikes = of_steps(spiking, feed, "float64", session.time_steps)
    expected = session.run(None, feed, at=range(1, session.time_steps + 1))
    for info, array in zip(session.get_outputs(), expected, strict=True):
        np.testing.assert_allclose(outputs[info.name], array, 1e-12, 1e-12)
    assert mismatches(spikes, of_runtime(spiking, feed, "float64")[1])[0] == 0


def test_fewer_time_steps() -> None:
    spiking, feed = session_models.spiking("products"), session_models.feed("products", 2)
    found = of_loop(spiking, feed, "float64", 4)
    assert compared(found, of_runtime(spiking, feed, "float64", 4))[0] == 0
    assert all(a.shape[0] == 4 for a in found[1].values())


def test_any_batch_and_any_spatial_size() -> None:
    spiking = session_models.spiking("convolutional")
    rng = np.random.default_rng(1)
    for shape in ((1, 2, 5, 4), (4, 2, 9, 6)):
        feed = {"x": rng.standard_normal(shape).astype(np.float32)}
        found = of_loop(spiking, feed, "float64")
        assert compared(found, of_runtime(spiking, feed, "float64"))[0] == 0


def bundled(name: str, spikes: str, samples: int) -> tuple[onnx.ModelProto, dict[str, Any]]:
    kind = "text" if name == "text_encoder" else "digits"
    arrays = [dict(np.load(MODELS / f"{kind}_{part}.npz")) for part in ("calibration", "test")]
    data, test = ({k: a for k, a in part.items() if k != "labels"} for part in arrays)
    some = {k: a[:samples] for k, a in data.items()}
    settings = {"time_steps": 16, "tuning": 0, "spikes": spikes}
    spiking = onnx2snn.convert(MODELS / f"{name}.onnx", some, **settings)
    return spiking, {k: a[:2] for k, a in test.items()}


SLOW = pytest.mark.slow
BUNDLED = [
    ("digits_resmlp", "binary"),
    ("digits_vgg", "ternary"),
    ("digits_resnet", "binary"),
    ("digits_vgg", "binary"),
    pytest.param("digits_regnet", "binary", marks=SLOW),
    pytest.param("digits_mlp_mixer", "binary", marks=SLOW),
    pytest.param("digits_convnext", "binary", marks=SLOW),
    pytest.param("digits_convnext", "ternary", marks=SLOW),
    pytest.param("text_encoder", "binary", marks=SLOW),
    pytest.param("text_encoder", "ternary", marks=SLOW),
]


@pytest.mark.parametrize(("name", "spikes"), BUNDLED)
def test_bundled_networks(name: str, spikes: str) -> None:
    spiking, feed = bundled(name, spikes, 8)
    share, error = compared(of_loop(spiking, feed, "float64"), of_runtime(spiking, feed, "float64"))
    assert share == 0 and error < 1e-12
    share, error = compared(of_loop(spiking, feed, "float32"), of_runtime(spiking, feed, "float32"))
    assert share < 0.1 and error < 1


FUNCTIONS = {
    "Erf": (torch.erf, -8, 8),
    "Gelu": (torch.nn.functional.gelu, -9, 9),
    "Atan": (torch.atan, -50, 50),
    "Tan": (torch.tan, -1.5, 1.5),
    "Sinh": (torch.sinh, -3, 3),
    "Cosh": (torch.cosh, -3, 3),
    "Asin": (torch.asin, -1, 1),
    "Acos": (torch.acos, -1, 1),
    "Asinh": (torch.asinh, -30, 30),
    "Acosh": (torch.acosh, 1, 30),
    "Atanh": (torch.atanh, -0.999, 0.999),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_without_float64_kernel(name: str) -> None:
    function, low, high = FUNCTIONS[name]
    x = np.linspace(low, high, 200_001)
    w = writer("float64", ["x"])
    exported = finished(w, {"x": x}, [w.call(name, "x")])
    session = onnxruntime.InferenceSession(
        exported.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    expected = function(torch.from_numpy(x)).numpy()
    distance = np.abs(session.run(None, {"x": x})[0] - expected) / np.maximum(np.abs(expected), 1)
    assert distance.max() < (2.3e-16 if name == "Erf" else 2e-15)


def test_analog_nodes_without_float64_kernel_compute_in_float32() -> None:
    top = NODE("Hardmax", ["z"], ["y"], "top")
    proto = model([FC1, RELU, NODE("MatMul", ["r", "w2"], ["z"], "fc2"), top])
    data = {"x": samples(32, 4)}
    spiking = onnx2snn.convert(proto, data, time_steps=5, tuning=0, exclude=["top"])
    assert [node.op_type for node in inspect_model(spiking).analog] == ["Hardmax"]
    feed = {"x": samples(6, 4, seed=2)}
    found = of_loop(spiking, feed, "float64")
    assert compared(found, of_runtime(spiking, feed, "float64")) == (0, 0)


@pytest.mark.parametrize("sizes", [[], [1, 2, 5]], ids=["inferred", "given"])
def test_maxima_go_back_to_their_places(sizes: list[int]) -> None:
    """Of two rows of 4 or, with a cell that no window takes, 5."""
    length = 5 if sizes else 4
    window = {"kernel_shape": [2], "strides": [2]}
    operands = ["m", "places", "sizes"] if sizes else ["m", "places"]
    nodes = [
        NODE("MatMul", ["x", "wide"], ["h"], "fc"),
        RELU,
        NODE("Reshape", ["r", "rows"], ["u"], "rows_apart"),
        NODE("MaxPool", ["u"], ["m", "places"], "pool", **window),
        NODE("MaxUnpool", operands, ["y"], "unpool", **window),
    ]
    outputs = [helper.make_tensor_value_info("y", 1, sizes or ["N", 2, length])]
    stored = {"wide": samples(4, 2 * length), "rows": np.array([0, 2, length])}
    proto = model(nodes, outputs=outputs, sizes=np.array(sizes), **stored)
    spiking = onnx2snn.convert(proto, {"x": samples(1, 4)}, time_steps=32, tuning=0)
    feed = {"x": samples(1, 4)}
    found = of_loop(spiking, feed, "float64")
    share, error = compared(found, of_runtime(spiking, feed, "float64"))
    assert share == 0 and error < 1e-12
    np.testing.assert_allclose(found[0]["y"], answers(proto, feed)["y"], atol=1e-3)


def test_a_linear_node_without_float64_form_is_named() -> None:
    proto = model(
        [
            NODE("Relu", ["x"], ["r"], "act"),
            NODE("Conv", ["r", "k"], ["y"], "conv", auto_pad="SAME_UPPER"),
        ],
        [helper.make_tensor_value_info("x", 1, ["N", 1, "H", "W"])],
        [helper.make_tensor_value_info("y", 1, ["N", 6, None, None])],
    )
    spiking = onnx2snn.convert(proto, {"x": samples(4, 1, 5, 5)}, time_steps=3, tuning=0)
    feed = {"x": samples(2, 1, 5, 5, seed=2)}
    assert compared(of_loop(spiking, feed, "float32"), of_runtime(spiking, feed, "float32"))[0] == 0
    with pytest.raises(ModelError, match=r"node 'conv' \(Conv\): auto_pad .*--precision float32"):
        onnx2snn.export(spiking, precision="float64")


def test_integer_inputs_static_outputs_and_booleans_on_the_way() -> None:
    """Token ids, an output that no spike reaches, and a comparison of two signals."""
    table, names = samples(9, 8), helper.make_tensor_value_info
    nodes = [
        NODE("Gather", ["table", "ids"], ["e"], "embed"),
        NODE("Tanh", ["e"], ["t"], "tanh"),
        NODE("Relu", ["e"], ["r"], "relu"),
        NODE("Greater", ["t", "r"], ["above"], "above"),
        NODE("Where", ["above", "t", "r"], ["chosen"], "choose"),
        NODE("MatMul", ["chosen", "w2"], ["y"], "head"),
        NODE("Identity", ["e"], ["embedding"], "copy"),
        NODE("ArgMax", ["y"], ["label"], "label", axis=-1, keepdims=0),
    ]
    proto = model(
        nodes,
        [names("ids", 7, ["N", "L"])],
        [
            names("y", 1, ["N", "L", 3]),
            names("embedding", 1, ["N", "L", 8]),
            names("label", 7, ["N", "L"]),
        ],
        table=table,
    )
    ids = np.random.default_rng(0).integers(0, 9, (16, 5))
    spiking = onnx2snn.convert(proto, {"ids": ids}, time_steps=6, tuning=0)
    feed = {"ids": ids[:3]}
    runtime = of_runtime(spiking, feed, "float64")
    differing, off = compared(of_loop(spiking, feed, "float64"), runtime)
    assert differing == 0 and off <= 1e-14
    outputs, spikes = of_steps(spiking, feed, "float64", 6)
    assert mismatches(spikes, runtime[1])[0] == 0
    for name, array in runtime[0].items():
        np.testing.assert_allclose(outputs[name][-1], array, 1e-13, 1e-14)


@pytest.mark.parametrize("name", session_models.MODELS)
def test_another_engine_gives_the_same_spikes(name: str) -> None:
    """onnx.reference on the float64 loop: nothing hangs on onnxruntime."""
    spiking, feed = session_models.spiking(name), session_models.feed(name, 2)
    loop = onnx2snn.export(spiking, precision="float64", spikes=True)
    found = ReferenceEvaluator(loop).run(None, feed)
    expected = answers(loop, feed)
    for output, array in zip(loop.graph.output, found, strict=True):
        np.testing.assert_allclose(array, expected[output.name], 1e-13, 1e-13)
