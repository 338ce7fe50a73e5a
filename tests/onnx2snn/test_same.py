"""The canonical form is held against the model: faults are found, amplified rounding is none."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from onnx2snn.calibration.same import check_canonical
from onnx2snn.ops.errors import ModelError

X = np.random.default_rng(0).standard_normal((1, 8)).astype(np.float32)


def softmax_of(gain: float) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Mul", ["x", "gain"], ["h"]),
        helper.make_node("Softmax", ["h"], ["y"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8])],
        [numpy_helper.from_array(np.asarray(gain, np.float32), "gain")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def softmax(gain: float, x: np.ndarray = X) -> dict[str, torch.Tensor]:
    return {"y": torch.softmax(torch.from_numpy(x.astype(np.float64)) * gain, -1).float()}


def test_the_same_passes_and_a_fault_is_found() -> None:
    model = softmax_of(1.0)
    check_canonical(model, model, softmax(1.0), {"x": X})
    with pytest.raises(ModelError, match="'y' of the canonical form differs"):
        check_canonical(model, model, softmax(1.1), {"x": X})


def test_amplified_rounding_is_no_fault() -> None:
    gain = 1e5
    close = np.stack([np.full(8, 1.0, np.float32)]) + np.linspace(0, 1e-5, 8, dtype=np.float32)
    model = softmax_of(gain)
    rounded = close * np.float32(1 + 3e-7)
    check_canonical(model, model, softmax(gain, rounded), {"x": close})
    with pytest.raises(ModelError):
        check_canonical(model, model, softmax(gain, close[:, ::-1]), {"x": close})
