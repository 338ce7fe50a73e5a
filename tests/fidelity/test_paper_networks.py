"""The paper's preset on other networks and schedules, against an independent interpreter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from golden import spikes
from nets import Net, conv_net, resmlp, token_mixer
from paper_reference import PaperNetwork

import onnx2snn

Array = np.ndarray[Any, Any]


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


QUICK = ("free",)


@pytest.mark.parametrize(
    "schedule",
    [pytest.param(s, marks=() if s in QUICK else pytest.mark.slow) for s in SCHEDULES],
)
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


MODELS = Path(__file__).parents[2] / "models"
TRAINED = ("resmlp", "mlp_mixer", "regnet", "resnet", "vgg", "convnext")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n == "mlp_mixer" else pytest.mark.slow) for n in TRAINED]
)
def test_trained_networks(name: str) -> None:
    model, steps = onnx.load(MODELS / f"digits_{name}.onnx"), 24
    calibration = np.load(MODELS / "digits_calibration.npz")["image"][:100]
    x = np.load(MODELS / "digits_test.npz")["image"][:2]
    snn = onnx2snn.convert(
        model, {"image": calibration}, preset="paper", time_steps=steps, step_size=0.25, decay=0.93
    )
    reference = PaperNetwork(model)
    reference.calibrate(calibration)
    eta = [0.25 * 0.93**t for t in range(steps)]
    outputs, fired = reference.run(x.astype(np.float64), eta)
    for i, (site, own) in enumerate(spikes(snn, {"image": x}, steps).items()):
        np.testing.assert_array_equal(own, [step[i] for step in fired], err_msg=site)
    session = onnx2snn.SpikingSession(snn, device="cpu", precision="float64")
    (decoded,) = session.run(None, {"image": x}, at=range(1, steps + 1))
    np.testing.assert_allclose(decoded, outputs, rtol=0, atol=1e-10)
