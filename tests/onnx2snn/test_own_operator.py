"""A user's operator: registered from outside, matched, executed, opened by stock onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import onnx2snn
from onnx2snn.ops import registry
from onnx2snn.ops.operator import Attribute, SpikingOperator, unary
from onnx2snn.ops.target import Target

DOMAIN = "org.example"
SLOPE = 0.25
GENERATOR = np.random.default_rng(0)
X = GENERATOR.standard_normal((64, 6)).astype(np.float32)
WEIGHT = GENERATOR.standard_normal((6, 5)).astype(np.float32)


def bent(slope: float) -> Target:
    return Target("bent", 1, lambda x: torch.where(x > 1, 1 + slope * (x - 1), x))


BENT = SpikingOperator(
    source="Bent",
    domain=DOMAIN,
    equation="f(x) = x up to 1, 1 + slope * (x - 1) beyond",
    build=unary(bent, "slope"),
    attributes=(Attribute("slope", "float", 0.5),),
    body="""
        slope = Constant <value_float: float = @slope> ()
        one = Constant <value_float: float = 1.0> ()
        beyond = Sub (X, one)
        flat = Mul (beyond, slope)
        raised = Add (flat, one)
        Y = Min (X, raised)
    """,
)


@pytest.fixture
def registered() -> Iterator[SpikingOperator]:
    yield onnx2snn.register(BENT)
    registry._by_source.pop(BENT.source)
    registry._by_op_type.pop(BENT.op_type)


def model() -> onnx.ModelProto:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], "fc"),
        helper.make_node("Bent", ["h"], ["y"], "bend", domain=DOMAIN, slope=SLOPE),
    ]
    graph = helper.make_graph(
        nodes,
        "bent",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5])],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def expected() -> Any:
    h = X @ WEIGHT
    return np.minimum(h, 1 + SLOPE * (h - 1))


def test_unregistered_it_is_refused_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "bent.onnx"
    path.write_bytes(model().SerializeToString())
    with pytest.raises(onnx2snn.ModelError, match=r"'bend'.*onnx2snn\.register"):
        onnx2snn.convert(path)


@pytest.mark.parametrize("from_file", [True, False])
def test_registered_it_spikes(tmp_path: Path, registered: SpikingOperator, from_file: bool) -> None:
    path = tmp_path / "bent.onnx"
    path.write_bytes(model().SerializeToString())
    source = path if from_file else model()
    spiking = onnx2snn.convert(source, {"x": X}, time_steps=32, tuning=0)
    (node,) = [n for n in spiking.graph.node if n.op_type == "SpikingBent"]
    assert node.name == "bend"
    onnx2snn.save(spiking, tmp_path / "bent.snn.onnx")
    (snn,) = onnx2snn.SpikingSession(tmp_path / "bent.snn.onnx", device="cpu").run(None, {"x": X})
    assert np.linalg.norm(snn - expected()) < 0.01 * np.linalg.norm(expected())
    stock = onnxruntime.InferenceSession(
        spiking.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    np.testing.assert_allclose(stock.run(None, {"x": X})[0], expected(), rtol=1e-5, atol=1e-5)


def test_installed_packages_offer_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plugin(EntryPoint):
        def load(self) -> SpikingOperator:
            return BENT

    plugin = Plugin("bent", "example:BENT", registry.PLUGINS)
    monkeypatch.setattr(registry, "entry_points", lambda group: [plugin])
    registry.load_plugins.cache_clear()
    try:
        registry.load_plugins()
        assert registry.by_node(DOMAIN, "Bent") is BENT
    finally:
        registry.load_plugins.cache_clear()
        registry._by_source.pop(BENT.source, None)
        registry._by_op_type.pop(BENT.op_type, None)


def test_the_documentation_runs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "extending.md").read_text()
    code = page.split("```python")[1].split("```")[0]
    try:
        exec(code, {})
        assert registry.by_node(DOMAIN, "Bent") is not None
    finally:
        registry._by_source.pop("Bent", None)
        registry._by_op_type.pop("SpikingBent", None)


def test_names_are_unique_and_bodies_needed(registered: SpikingOperator) -> None:
    with pytest.raises(onnx2snn.UsageError, match="registered already"):
        onnx2snn.register(SpikingOperator("Bent", "f(x) = x", BENT.build))
    with pytest.raises(onnx2snn.UsageError, match="body"):
        onnx2snn.register(SpikingOperator("Bowed", "f(x) = x", BENT.build, domain=DOMAIN))
