"""What an exported file looks like, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
import pytest
from small_models import FC1, FC2, NODE, RELU, model, of_type, samples
from spikes import answers

import onnx2snn
from onnx2snn.export import network
from onnx2snn.ops.errors import ModelError, UsageError


@pytest.fixture(scope="module")
def small() -> onnx.ModelProto:
    return onnx2snn.convert(model([FC1, RELU, FC2]), {"x": samples(32, 4)}, time_steps=5, tuning=0)


def interface(values: Any) -> list[tuple[str, bytes]]:
    return [(v.name, v.type.SerializeToString()) for v in values]


def test_interface_and_metadata_are_the_files(small: onnx.ModelProto) -> None:
    loop = onnx2snn.export(small)
    assert interface(loop.graph.input) == interface(small.graph.input)
    assert interface(loop.graph.output) == interface(small.graph.output)
    metadata = {p.key: p.value for p in loop.metadata_props}
    assert {p.key: p.value for p in small.metadata_props}.items() <= metadata.items()
    assert metadata["onnx2snn.export"] == "onnx-loop"
    assert [o.domain for o in loop.opset_import] == [""] and not loop.functions
    assert [n.op_type for n in loop.graph.node].count("Scan") == 1


def test_what_depends_on_the_input_alone_is_outside_the_loop(small: onnx.ModelProto) -> None:
    loop = onnx2snn.export(small)
    (scan,) = (node for node in loop.graph.node if node.op_type == "Scan")
    body = [node.op_type for node in scan.attribute[0].g.node]
    assert "Relu" not in body and body.count("MatMul") == 1 and "Gemm" not in body


def test_states_of_the_step_model_are_named_in_its_metadata(small: onnx.ModelProto) -> None:
    step = onnx2snn.export(small, "onnx-step")
    init = onnx2snn.export(small, "onnx-init")
    states = json.loads({p.key: p.value for p in step.metadata_props}["onnx2snn.states"])
    inputs, outputs = ({v.name for v in values} for values in (step.graph.input, step.graph.output))
    assert set(states) < inputs and {s["next"] for s in states.values()} < outputs
    assert "act/output" in {s["site"] for s in states.values()}
    assert {v.name for v in init.graph.output} | {"time_step"} == inputs


def test_half_precision_files(small: onnx.ModelProto) -> None:
    half = onnx.TensorProto.FLOAT16
    proto = of_type(model([FC1, RELU, FC2]), half)
    spiking = onnx2snn.convert(proto, {"x": samples(32, 4)}, time_steps=5, tuning=0)
    feed = {"x": samples(3, 4).astype(np.float16)}
    (found,) = answers(onnx2snn.export(spiking), feed).values()
    (expected,) = onnx2snn.SpikingSession(spiking, device="cpu").run(None, feed)
    assert found.dtype == expected.dtype == np.float16
    np.testing.assert_allclose(found.astype("f"), expected.astype("f"), rtol=2e-2, atol=2e-2)


def test_settings_out_of_range(small: onnx.ModelProto) -> None:
    with pytest.raises(UsageError, match="onnx-loop"):
        onnx2snn.export(small, "nir")
    with pytest.raises(UsageError, match="schedule of 5; convert with --time-steps 6"):
        onnx2snn.export(small, time_steps=6)
    for steps in (0, True, 2.5):
        with pytest.raises(UsageError, match="positive whole number"):
            onnx2snn.export(small, time_steps=steps)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="precision 'int8'"):
        onnx2snn.export(small, precision="int8")


def test_a_plain_model_has_no_spikes_to_export() -> None:
    with pytest.raises(ModelError, match="no spiking neurons; run `onnx2snn convert`"):
        onnx2snn.export(model([FC1, RELU, FC2]))


def test_a_site_without_onnx_form_is_named(
    small: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    norm = NODE("LayerNormalization", ["h", "g"], ["r"], "norm")
    proto = model([FC1, norm, FC2], g=np.ones(8, np.float32))
    data = {"x": samples(32, 4)}
    spiking = onnx2snn.convert(proto, data, time_steps=3, tuning=0, layer_norm="decomposed")
    whole = network.compile_plan

    def stripped(graph: Any) -> Any:
        plan = whole(graph)
        for site in plan.sites:
            object.__setattr__(site.site.target, "body", "")
        return plan

    monkeypatch.setattr(network, "compile_plan", stripped)
    message = r"site 'norm/square': its function 'square' has no ONNX form; .*--exclude norm"
    with pytest.raises(ModelError, match=message):
        onnx2snn.export(spiking)
