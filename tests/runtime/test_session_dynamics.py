"""The runtime against an independent interpreter: every tensor, spike and output, every step."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from oracle import Oracle
from session_models import MODELS, TIME_STEPS, Array, Feed, feed, spiking

import onnx2snn
from onnx2snn.runtime.energy import account
from onnx2snn.runtime.execute import Executor
from onnx2snn.runtime.graph import read_graph
from onnx2snn.runtime.parameters import constants_on, read_parameters
from onnx2snn.runtime.plan import compile_plan
from onnx2snn.runtime.session import SpikingSession
from onnx2snn.runtime.signals import Signals
from onnx2snn.runtime.state import State

SAMPLES = 3
KINDS = [
    *((name, "binary", "decomposed") for name in MODELS),
    *((name, "ternary", "decomposed") for name in MODELS),
    ("residual_mlp", "binary", "fused"),
]
CPU = torch.device("cpu")


class Simulation:
    """The executor driven by hand, so that its state can be looked at after every block."""

    def __init__(self, model: onnx.ModelProto, arrays: Feed) -> None:
        self.plan = compile_plan(read_graph(model))
        self.executor = Executor(
            self.plan,
            constants_on(self.plan, CPU, torch.float64),
            read_parameters(self.plan, CPU, torch.float64),
            CPU,
            torch.float64,
        )
        self.state = State(values={n: torch.from_numpy(a).double() for n, a in arrays.items()})
        for index in range(len(self.plan.steps)):
            self.executor.initialise(index, self.state)

    def advance(self, steps: int) -> None:
        signals = Signals(steps)
        for index in range(len(self.plan.steps)):
            self.executor.advance(index, self.state, signals)
        self.state.time += steps
        assert not signals.increments and not signals.courses

    def values(self) -> dict[str, Array]:
        """The varying tensors whose value the state holds."""
        return {n: t.numpy() for n, t in self.state.values.items() if n in self.plan.varying}


def session(model: onnx.ModelProto, block: int | None = None, **options: str) -> SpikingSession:
    options = {"precision": "float64", "device": "cpu", **options}
    return SpikingSession(model, block=block, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("block", "bypass"), [(1, "linear"), (3, "linear"), (3, "all")])
@pytest.mark.parametrize(("name", "spikes", "layer_norm"), KINDS)
def test_the_invariant_holds_at_every_step(
    name: str, spikes: str, layer_norm: str, block: int, bypass: str
) -> None:
    """x(t) = A(v(t)): integrated increments are the graph applied to the estimates."""
    model, arrays = spiking(name, spikes, layer_norm, bypass=bypass), feed(name, SAMPLES)
    simulation, oracle = Simulation(model, arrays), Oracle(model)
    expected = oracle.start(arrays)
    assert simulation.plan.integrated
    time = 0
    while True:
        values = simulation.values()
        assert simulation.plan.integrated <= set(values)
        for tensor, value in values.items():
            np.testing.assert_allclose(value, expected[tensor], 1e-9, 1e-9, err_msg=tensor)
        counts = {site: int(count) for site, count in simulation.state.spikes.items()}
        assert counts == oracle.spikes
        if time == TIME_STEPS:
            return
        steps = min(block, TIME_STEPS - time)
        simulation.advance(steps)
        for _ in range(steps):
            expected = oracle.step()
        time += steps


@pytest.mark.parametrize(("name", "spikes", "layer_norm"), KINDS)
def test_outputs_at_every_step(name: str, spikes: str, layer_norm: str) -> None:
    model, arrays = spiking(name, spikes, layer_norm), feed(name, SAMPLES)
    oracle = Oracle(model)
    oracle.start(arrays)
    points = session(model).simulate(arrays, range(1, TIME_STEPS + 1))
    assert [point.time_steps for point in points] == list(range(1, TIME_STEPS + 1))
    for point in points:
        values = oracle.step()
        assert point.account.spikes == sum(oracle.spikes.values())
        for output, array in point.outputs.items():
            np.testing.assert_allclose(array, values[output], 1e-9, 1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_block_length_changes_nothing(name: str) -> None:
    model, arrays = spiking(name), feed(name, SAMPLES)
    step_by_step = session(model, 1).run(None, arrays)
    in_float32 = session(model, 1, precision="float32").run(None, arrays)
    for block in (3, 8, None):
        pairs = zip(session(model, block).run(None, arrays), step_by_step, strict=True)
        for found, expected in pairs:
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
        found32 = session(model, block, precision="float32").run(None, arrays)
        for found, expected in zip(found32, in_float32, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_the_limit_is_what_onnxruntime_answers(name: str) -> None:
    """Decoded outputs approach the ANN: ten steps beat two."""
    model, arrays = spiking(name), feed(name, 16, 3)
    floats = [o.name for o in session(model).get_outputs() if o.dtype.kind == "f"]
    from onnxruntime import InferenceSession

    ann = InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for output, expected in zip(floats, ann.run(floats, arrays), strict=True):
        early, late = session(model).run([output], arrays, at=[2, TIME_STEPS])[0]
        errors = [np.linalg.norm(x - expected) / np.linalg.norm(expected) for x in (early, late)]
        assert errors[1] < 0.6 * errors[0], errors


@pytest.mark.parametrize("name", MODELS)
def test_state_does_not_grow_with_time(name: str) -> None:
    def held(state: State) -> int:
        tensors = [*state.values.values(), *state.spikes.values()]
        tensors += [t for row in state.bindings.values() for t in row.operands if t is not None]
        storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
        return sum(storages.values())

    simulation = Simulation(spiking(name), feed(name, SAMPLES))
    simulation.advance(1)
    after_one, names = held(simulation.state), set(simulation.state.values)
    simulation.advance(TIME_STEPS - 1)
    assert held(simulation.state) <= after_one
    assert set(simulation.state.values) == names


@pytest.mark.parametrize("name", ["conv_net", "analog_middle"])
def test_nothing_records_gradients(name: str) -> None:
    simulation = Simulation(spiking(name), feed(name, SAMPLES))
    simulation.advance(2)
    assert not any(t.requires_grad for t in simulation.state.values.values())
    assert not any(t.requires_grad for t in simulation.executor.constants.values())


def test_account_follows_the_state() -> None:
    simulation = Simulation(spiking("conv_net"), feed("conv_net", SAMPLES))
    assert account(simulation.plan, simulation.state).spikes == 0
    simulation.advance(2)
    assert account(simulation.plan, simulation.state).spikes > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU here")
@pytest.mark.parametrize("name", MODELS)
def test_gpu_and_cpu_agree(name: str) -> None:
    model, arrays = spiking(name), feed(name, SAMPLES)
    on_gpu = session(model, device="cuda").run(None, arrays)
    for found, expected in zip(on_gpu, session(model).run(None, arrays), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_precisions_agree_where_no_spike_hangs_on_rounding() -> None:
    model, arrays = spiking("conv_net"), feed("conv_net", SAMPLES)
    (single,) = onnx2snn.SpikingSession(model, device="cpu").run(None, arrays)
    (double,) = session(model).run(None, arrays)
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    np.testing.assert_allclose(single, double, rtol=1e-4, atol=1e-4)
