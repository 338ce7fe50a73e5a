"""SpikingSession as its users see it: what it takes, what it refuses, what it repeats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from session_models import MODELS, NODE, TIME_STEPS, Weights, build, conv_net, feed, spiking

import onnx2snn
from onnx2snn.ops.errors import DataError, UsageError
from onnx2snn.runtime.session import SpikingSession


def session(model: onnx.ModelProto | str | bytes | Path, **options: Any) -> SpikingSession:
    return SpikingSession(model, **{"device": "cpu", **options})


@pytest.fixture(scope="module")
def net() -> SpikingSession:
    return session(spiking("conv_net"))


def test_the_interface_of_onnxruntime(net: SpikingSession) -> None:
    (info,) = net.get_inputs()
    assert (info.name, info.type, info.shape) == ("x", "tensor(float)", ("N", 2, 6, 6))
    assert [o.name for o in net.get_outputs()] == ["y"]
    assert net.time_steps == TIME_STEPS
    assert net.metadata["onnx2snn.time_steps"] == str(TIME_STEPS)


def test_paths_bytes_and_models_open(tmp_path: Path) -> None:
    model, arrays = spiking("conv_net"), feed("conv_net", 2)
    path = tmp_path / "net.snn.onnx"
    onnx2snn.save(model, path)
    expected = session(model).run(None, arrays)[0]
    for source in (path, str(path), path.read_bytes()):
        np.testing.assert_array_equal(session(source).run(None, arrays)[0], expected)


@pytest.mark.parametrize("name", MODELS)
def test_no_state_is_left_over(name: str) -> None:
    """Calls with other batches in between change nothing; runs are deterministic."""
    model = spiking(name)
    used = session(model)
    for samples in (3, 1, 4, 3):
        arrays = feed(name, samples)
        fresh = session(model).run(None, arrays)
        for found, again, expected in zip(
            used.run(None, arrays), used.run(None, arrays), fresh, strict=True
        ):
            np.testing.assert_array_equal(found, expected)
            np.testing.assert_array_equal(again, expected)


@pytest.mark.parametrize("name", MODELS)
def test_samples_do_not_see_each_other(name: str) -> None:
    used, arrays = session(spiking(name), precision="float64"), feed(name, 3)
    together = used.run(None, arrays)
    for i in range(3):
        alone = used.run(None, {n: a[i : i + 1] for n, a in arrays.items()})
        for found, expected in zip(alone, together, strict=True):
            np.testing.assert_allclose(found[0], expected[i], rtol=1e-9, atol=1e-9)


def test_the_feed_is_left_alone_and_results_are_the_callers() -> None:
    used, arrays = session(spiking("conv_net")), feed("conv_net", 2)
    before = arrays["x"].copy()
    first = used.run(None, arrays)[0]
    np.testing.assert_array_equal(arrays["x"], before)
    kept = first.copy()
    first[:] = np.nan
    np.testing.assert_array_equal(used.run(None, arrays)[0], kept)


def test_at_gives_prefixes(net: SpikingSession) -> None:
    arrays = feed("conv_net", 2)
    (points,) = net.run(None, arrays, at=[7, 1, 7, TIME_STEPS])
    assert points.shape[0] == 4
    for t, point in zip((7, 1, 7, TIME_STEPS), points, strict=True):
        np.testing.assert_allclose(
            point, net.run(["y"], arrays, time_steps=t)[0], rtol=1e-5, atol=1e-6
        )
    assert np.abs(points[0] - points[1]).max() > 1e-3


@pytest.mark.parametrize("steps", [TIME_STEPS + 1, 0, -1, 2.5, True, "3"])
def test_time_steps_out_of_range(net: SpikingSession, steps: Any) -> None:
    with pytest.raises(UsageError, match="time steps") as caught:
        net.run(None, feed("conv_net", 1), time_steps=steps)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError):
        net.run(None, feed("conv_net", 1), at=[1, steps])


def test_at_needs_a_step(net: SpikingSession) -> None:
    with pytest.raises(UsageError):
        net.run(None, feed("conv_net", 1), at=[])


X = np.zeros((2, 2, 6, 6), np.float32)
BAD_FEEDS: list[tuple[dict[str, Any], str]] = [
    ({}, "input 'x' is missing"),
    ({"image": X}, "no input 'image'; its inputs are 'x'"),
    ({"x": X, "extra": X}, "no input 'extra'"),
    ({"x": X.astype(np.int64)}, "input 'x' holds int64; the model takes float32"),
    ({"x": X > 0}, "input 'x' holds bool"),
    ({"x": X[0]}, r"input 'x' has shape \[2, 6, 6\]; the model takes \[.*, 2, 6, 6\]"),
    ({"x": X[:, :1]}, r"input 'x' has shape \[2, 1, 6, 6\]"),
    ({"x": np.full_like(X, np.nan)}, "input 'x' holds NaN"),
    ({"x": np.full_like(X, -np.inf)}, "input 'x' holds .*infinite"),
]


@pytest.mark.parametrize(("arrays", "message"), BAD_FEEDS, ids=[m for _, m in BAD_FEEDS])
def test_feeds_that_do_not_fit(net: SpikingSession, arrays: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        net.run(None, arrays)
    assert "\n" not in str(caught.value)


def test_unknown_outputs_and_options(net: SpikingSession) -> None:
    with pytest.raises(DataError, match="no output 'z'"):
        net.run(["z"], {"x": X})
    with pytest.raises(UsageError, match="'float8'"):
        session(spiking("conv_net"), precision="float8")
    with pytest.raises(UsageError, match="'toaster'"):
        session(spiking("conv_net"), device="toaster")
    with pytest.raises(UsageError, match="block"):
        session(spiking("conv_net"), block=0)


def test_wider_floats_are_taken(net: SpikingSession) -> None:
    arrays = feed("conv_net", 2)
    wide = {"x": arrays["x"].astype(np.float64)}
    np.testing.assert_array_equal(net.run(None, wide)[0], net.run(None, arrays)[0])
    assert net.run(None, wide)[0].dtype == np.float32


def test_an_empty_batch(net: SpikingSession) -> None:
    assert net.run(None, {"x": X[:0]})[0].shape == (0, 5)


@pytest.mark.parametrize("size", [(5, 4), (7, 7), (1, 3), (12, 5)])
def test_open_spatial_sizes(size: tuple[int, int]) -> None:
    """Scale and step sizes are per channel, so that a site fits any extent."""
    model = spiking("convolutional")
    image = np.random.default_rng(1).standard_normal((2, 2, *size)).astype(np.float32)
    from onnxruntime import InferenceSession

    ann = InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = ann.run(None, {"x": image})[0]
    (found,) = session(model).run(None, {"x": image})
    assert found.shape == expected.shape == (2, 2, 1, 1)
    assert np.linalg.norm(found - expected) < 0.2 * np.linalg.norm(expected)


def test_a_batch_baked_into_the_model() -> None:
    model = conv_net()
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    converted = onnx2snn.convert(model, feed("conv_net", 32, 3), time_steps=4, tuning=0)
    used = session(converted)
    assert used.get_inputs()[0].shape == (1, 2, 6, 6)
    assert used.run(None, feed("conv_net", 1))[0].shape == (1, 5)
    with pytest.raises(DataError, match=r"the model takes \[1, 2, 6, 6\]"):
        used.run(None, feed("conv_net", 2))


def test_outputs_by_name_and_order() -> None:
    used, arrays = session(spiking("products")), feed("products", 2)
    y, scores = used.run(None, arrays)
    swapped = used.run(["scores", "y"], arrays)
    np.testing.assert_array_equal(swapped[0], scores)
    np.testing.assert_array_equal(swapped[1], y)
    with pytest.raises(DataError, match="input 'z' is missing"):
        used.run(None, {"x": arrays["x"]})


def test_integer_outputs_keep_their_type() -> None:
    y, label, whole = session(spiking("analog_middle")).run(None, feed("analog_middle", 4))
    assert label.dtype == whole.dtype == np.int64
    np.testing.assert_array_equal(label, y.argmax(1))
    np.testing.assert_array_equal(whole, np.trunc(y).astype(np.int64))


def test_results_carry_no_gradients(net: SpikingSession) -> None:
    assert not torch.is_inference_mode_enabled()
    net.run(None, feed("conv_net", 1))
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def test_progress_is_told_after_every_block() -> None:
    told: list[int] = []
    session(spiking("conv_net"), block=4).simulate(feed("conv_net", 1), [6, 9], told.append)
    assert told == [4, 6, 9]


def test_inputs_and_constants_may_be_outputs_and_dead_shape_nodes_may_stay() -> None:
    """Nodes whose result nobody reads run once, and again for a shape seen before."""
    w = Weights(9)
    nodes = [
        NODE("MatMul", ["x", w.draw("w1", 4, 3)], ["a"]),
        NODE("Relu", ["a"], ["r"], "relu"),
        NODE("Tanh", ["r"], ["y"], "tanh"),
    ]
    model = build(nodes, {"x": ["N", 4]}, {"y": ["N", 3], "x": ["N", 4], "w1": [4, 3]}, w)
    del model.graph.output[1:]
    x = np.random.default_rng(2).standard_normal((16, 4)).astype(np.float32)
    converted = onnx2snn.convert(model, {"x": x}, time_steps=4, tuning=0)
    converted.graph.node.append(NODE("Shape", ["x"], ["nobody"], "dead"))
    converted.graph.output.append(helper.make_tensor_value_info("w1", TensorProto.FLOAT, [4, 3]))
    used = session(converted)
    for _ in range(2):
        y, weights = used.run(None, {"x": x})
        np.testing.assert_array_equal(weights, w["w1"])
    assert y.shape == (16, 3)
