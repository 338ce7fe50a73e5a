"""The nine classifiers that onnx ships without weights: nothing analog, the same in the limit.

Their weights are constants, so that only the graph is judged.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import onnx2snn
from onnx2snn.inspection import inspect_model

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
NAMES = (
    *("bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50"),
    *("shufflenet", "squeezenet", "vgg19", "zfnet512"),
)


def run(model: bytes, name: str, x: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, {name: x})[0]


def scores(model: onnx.ModelProto) -> bytes:
    """The model up to its last softmax, if any.

    Equal weights add up to equal scores of 1e9, whose rounding is all that softmax would see.
    """
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    last = [node for node in cut.graph.node if node.op_type.endswith("Softmax")]
    if last:
        del cut.graph.output[:]
        cut.graph.output.append(onnx.ValueInfoProto(name=last[-1].input[0]))
    return cut.SerializeToString()


@pytest.mark.slow
@pytest.mark.parametrize("network", NAMES)
def test_light_model(network: str) -> None:
    path = FOLDER / f"light_{network}.onnx"
    source = onnx.load(path)
    stored = {tensor.name for tensor in source.graph.initializer}
    (info,) = [value for value in source.graph.input if value.name not in stored]
    shape = [d.dim_value for d in info.type.tensor_type.shape.dim]
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    spiking = onnx2snn.convert(path, {info.name: x}, time_steps=2, tuning=0)
    report = inspect_model(spiking)
    assert report.counts["analog"] == 0
    assert report.counts["spiking"] >= 10
    given, wanted = (run(scores(m), info.name, x) for m in (spiking, source))
    np.testing.assert_allclose(given.ravel(), wanted.ravel(), rtol=1e-4)
