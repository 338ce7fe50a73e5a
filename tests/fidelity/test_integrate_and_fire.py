"""IF and LIF networks against a simulation of their membranes; thresholds; what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from nets import average_net, conv_net, resmlp
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import onnx2snn
from onnx2snn.cli import run_cli

Array = np.ndarray[Any, Any]
TIME_STEPS = 40


def relu_outputs(model: onnx.ModelProto, x: Array) -> list[Array]:
    extended = onnx.ModelProto()
    extended.CopyFrom(model)
    names = [node.output[0] for node in model.graph.node if node.op_type == "Relu"]
    extended.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        extended.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(a) for a in session.run(names, {"x": x})]


class Membranes:
    """A network of IF or LIF neurons, spikes and currents at every step, biases included."""

    def __init__(self, model: onnx.ModelProto, thresholds: list[Array], tau: float | None) -> None:
        self.graph, self.tau = model.graph, tau
        relus = [node.name for node in self.graph.node if node.op_type == "Relu"]
        self.theta = dict(zip(relus, thresholds, strict=True))
        self.weights = {
            t.name: a.astype(np.float64) if a.dtype.kind == "f" else a
            for t in self.graph.initializer
            for a in [numpy_helper.to_array(t)]
        }

    def run(self, x: Array, steps: int, membrane: float) -> tuple[list[Array], dict[str, Array]]:
        """Decoded outputs after every step, and the number of spikes by ReLU."""
        gain = 1.0 if self.tau is None else 1 / self.tau
        leak = 1.0 if self.tau is None else 1 - gain
        w: dict[str, Any] = {}
        counts: dict[str, Any] = dict.fromkeys(self.theta, 0)
        decoded, weight, results = 0.0, 0.0, []
        for _ in range(steps):
            values = {**self.weights, "x": x.astype(np.float64)}
            for node in self.graph.node:
                inputs = {name: values[name] for name in node.input}
                if node.op_type != "Relu":
                    evaluated = ReferenceEvaluator(node).run(None, inputs)
                    values[node.output[0]] = np.asarray(evaluated[0])
                    continue
                theta, current = self.theta[node.name], values[node.input[0]]
                threshold = theta if self.tau is None else gain * theta / leak
                rest = 0.0 if self.tau is None else threshold
                before = w.get(node.name, membrane * threshold)
                now = leak * before + gain * (rest + current)
                s = now >= threshold
                w[node.name] = now - threshold * s
                counts[node.name] = counts[node.name] + s
                values[node.output[0]] = theta * s
            decoded = leak * decoded + gain * values["y"]
            weight = leak * weight + gain
            results.append(decoded / weight)
        return results, counts


CASES: list[tuple[str, dict[str, Any]]] = [
    ("average", {"dynamics": "if"}),
    ("average", {"dynamics": "if", "threshold": "channel", "membrane": 0.5}),
    ("average", {"dynamics": "lif", "tau": 8.0}),
    ("average", {"dynamics": "lif", "tau": 3.5, "threshold": "channel", "membrane": 0.5}),
    ("resmlp", {"dynamics": "if", "percentile": 99.0}),
    ("resmlp", {"dynamics": "lif", "threshold": "channel", "percentile": 95.0}),
]
NETS = {"average": average_net, "resmlp": lambda: resmlp("Relu")}


def expected_thresholds(outputs: list[Array], axis: int, given: dict[str, Any]) -> list[Array]:
    """Percentiles of the ReLUs' outputs, of all or per channel, the axis the weights wrote."""
    thresholds = []
    for values in outputs:
        channel = axis if values.ndim > 2 else 1
        others = tuple(i for i in range(values.ndim) if i != channel)
        along = others if given.get("threshold") == "channel" else None
        percent = given.get("percentile", 100.0)
        found = np.percentile(values, percent, along, keepdims=True, method="inverted_cdf")
        thresholds.append(np.where(found > 1e-5, found, 1.0)[0].astype(np.float64))
    return thresholds


@pytest.mark.parametrize(("name", "given"), CASES)
def test_spikes_and_outputs_are_those_of_the_membranes(name: str, given: dict[str, Any]) -> None:
    net = NETS[name]()
    model = net.model()
    calibration, x = (net.rng.standard_normal((n, *net.shape)).astype(np.float32) for n in (90, 3))
    snn = onnx2snn.convert(model, {"x": calibration}, time_steps=TIME_STEPS, **given)
    session = onnx2snn.SpikingSession(snn, device="cpu", precision="float64", block=7)
    found = [session.parameters[s.site.name].step_sizes[0].numpy() for s in session.plan.sites]
    axis = 1 if name == "average" else 2
    thresholds = expected_thresholds(relu_outputs(model, calibration), axis, given)
    for own, theta in zip(found, thresholds, strict=True):
        np.testing.assert_allclose(own.squeeze(), theta.squeeze(), rtol=1e-5)
    tau = given.get("tau", 10.0) if given["dynamics"] == "lif" else None
    exact = [theta.reshape(own.shape) for own, theta in zip(found, found, strict=True)]
    outputs, counts = Membranes(model, exact, tau).run(x, TIME_STEPS, given.get("membrane", 0.0))
    (decoded,) = session.run(None, {"x": x}, at=range(1, TIME_STEPS + 1))
    np.testing.assert_allclose(decoded, outputs, rtol=0, atol=1e-10)
    (point,) = session.simulate({"x": x}, [TIME_STEPS])
    assert point.account.spikes == sum(int(count.sum()) for count in counts.values()) > 0


def test_more_steps_come_closer_to_the_ann() -> None:
    net = average_net()
    model, x = net.model(), net.rng.standard_normal((60, *net.shape)).astype(np.float32)
    snn = onnx2snn.convert(
        model, {"x": x}, dynamics="if", membrane=0.5, threshold="channel", time_steps=256
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    ann = np.asarray(session.run(None, {"x": x})[0])
    found = onnx2snn.SpikingSession(snn, device="cpu").run(None, {"x": x}, at=[16, 64, 256])[0]
    errors = [np.linalg.norm(y - ann) / np.linalg.norm(ann) for y in found]
    assert errors[1] < 0.5 * errors[0] and errors[2] < 0.5 * errors[1] and errors[2] < 0.02


def test_poisson_input_is_seeded_unbiased_and_independent_of_blocks() -> None:
    net = average_net()
    model, x = net.model(), net.rng.standard_normal((4, *net.shape)).astype(np.float32)

    def run(seed: int, block: int) -> Array:
        snn = onnx2snn.convert(
            model, {"x": x}, dynamics="if", input="poisson", seed=seed, time_steps=400
        )
        session = onnx2snn.SpikingSession(snn, device="cpu", precision="float64", block=block)
        encoder = session.plan.sites[0].site
        ends = []
        session.simulate({"x": x}, [400], probe=lambda s: ends.append(s.values[encoder.output]))
        return np.asarray(ends[0].numpy())

    first = run(1, 7)
    np.testing.assert_allclose(run(1, 400), first, rtol=0, atol=1e-12)
    assert np.abs(run(2, 7) - first).max() > 0.01
    deviation = np.abs(x).max() * 0.5 / np.sqrt(400)
    assert np.abs(first - x).max() < 6 * deviation
    assert np.abs((first - x).mean()) < 6 * deviation / np.sqrt(x.size)


def test_what_integrate_and_fire_cannot_compute_is_refused_by_name() -> None:
    x = np.zeros((2, 2, 11, 14), np.float32)
    with pytest.raises(onnx2snn.ModelError, match=r"'n2' \(MaxPool\).*average"):
        onnx2snn.convert(conv_net("Relu").model(), {"x": x}, dynamics="if")
    with pytest.raises(onnx2snn.ModelError, match=r"'\w+' \(Gelu\)"):
        onnx2snn.convert(
            resmlp("Gelu").model(), {"x": np.zeros((2, 6, 8), np.float32)}, dynamics="lif"
        )


@pytest.mark.parametrize(
    "given",
    [
        {"dynamics": "if", "spikes": "ternary"},
        {"dynamics": "if", "schedule": "exponential"},
        {"dynamics": "lif", "windows": "sequential"},
        {"dynamics": "if", "time_steps": "auto"},
        {"dynamics": "if", "percentile": 0.0},
        {"dynamics": "if", "membrane": 1.0},
        {"dynamics": "lif", "tau": 1.0},
        {"dynamics": "if", "preset": "paper"},
        {"preset": "paper", "layer_norm": "fused"},
        {"preset": "paper", "tuning": 5},
        {"preset": "other"},
        {"dynamics": "izhikevich"},
    ],
)
def test_settings_that_mean_nothing_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(onnx2snn.UsageError):
        onnx2snn.Settings(**given)


def test_files_with_integrating_neurons_of_other_functions_are_refused() -> None:
    net = conv_net("LeakyRelu", alpha=0.1)
    x = {"x": net.rng.standard_normal((2, *net.shape)).astype(np.float32)}
    snn = onnx2snn.convert(net.model(), x, time_steps=2, schedule="exponential")
    (node,) = [n for n in snn.graph.node if n.name == "n1"]
    for attribute in node.attribute:
        if attribute.name == "dynamics":
            attribute.s = b"if"
    with pytest.raises(onnx2snn.ModelError, match=r"'n1'.*integrate-and-fire"):
        onnx2snn.SpikingSession(snn)


def test_poisson_input_has_no_exported_form() -> None:
    net = average_net()
    x = {"x": net.rng.standard_normal((4, *net.shape)).astype(np.float32)}
    snn = onnx2snn.convert(net.model(), x, dynamics="if", input="poisson", time_steps=4)
    with pytest.raises(onnx2snn.ModelError, match="random"):
        onnx2snn.export(snn)


@pytest.mark.parametrize("dynamics", ["if", "lif"])
def test_exported_steps_fire_the_same_spikes(dynamics: str) -> None:
    net = average_net()
    x = {"x": net.rng.standard_normal((4, *net.shape)).astype(np.float32)}
    snn = onnx2snn.convert(net.model(), x, dynamics=dynamics, time_steps=20, membrane=0.5)
    (expected,) = onnx2snn.SpikingSession(snn, device="cpu", precision="float64").run(None, x)
    loop = onnx2snn.export(snn, precision="float64")
    session = onnxruntime.InferenceSession(
        loop.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    np.testing.assert_allclose(session.run(None, x)[0], expected, rtol=0, atol=1e-10)


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = average_net()
    onnx.save(net.model(), tmp_path / "net.onnx")
    np.savez(tmp_path / "x.npz", x=net.rng.standard_normal((8, *net.shape)).astype(np.float32))
    data = ["--calibration", str(tmp_path / "x.npz"), "--time-steps", "16"]
    for options in (
        ["--dynamics", "if", "--threshold", "channel", "--percentile", "99.9"],
        ["--dynamics", "lif", "--tau", "5", "--membrane", "0.5", "--input", "poisson"],
        ["--preset", "paper", "--step-size", "0.3", "--decay", "0.9"],
    ):
        out = str(tmp_path / "snn.onnx")
        arguments = ["convert", str(tmp_path / "net.onnx"), "-o", out, "--force", *data, *options]
        assert run_cli(arguments) == 0
        assert run_cli(["inspect", out]) == 0
        assert run_cli(["evaluate", out, "--data", str(tmp_path / "x.npz"), "--layers"]) == 0
        onnx.checker.check_model(out)
    model = onnx.load(tmp_path / "snn.onnx")
    model.graph.node[0].attribute.append(helper.make_attribute("nonsense", 1))
    with pytest.raises(onnx.checker.ValidationError):
        onnx.checker.check_model(model)
    assert "wrote" in capsys.readouterr().out
