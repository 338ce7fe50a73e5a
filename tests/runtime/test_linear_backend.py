"""The linear operators on the node tests that ONNX itself ships."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

from onnx2snn.runtime.graph import read_node
from onnx2snn.runtime.linear import LINEAR

OLDEST_OPSET = 20
# Element types in which the runtime computes; it knows no unsigned words, 4- or 8-bit floats.
ELEMENTS = {"float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"}
TRAINING = "training mode is refused"
NONLINEAR = "only the reductions none and add are linear"
ANTIALIAS = "antialias is refused"
ALIGNED = "the case divides by the fractional size; onnxruntime, as here, by the result's own"
KNOWN_FAILURES = {
    "test_batchnorm_epsilon_training_mode": TRAINING,
    "test_batchnorm_example_training_mode": TRAINING,
    "test_training_dropout": TRAINING,
    "test_training_dropout_default": TRAINING,
    "test_training_dropout_default_mask": TRAINING,
    "test_training_dropout_mask": TRAINING,
    "test_training_dropout_zero_ratio": TRAINING,
    "test_training_dropout_zero_ratio_mask": TRAINING,
    "test_resize_downsample_scales_linear_align_corners": ALIGNED,
    "test_resize_downsample_scales_cubic_align_corners": ALIGNED,
    "test_resize_downsample_scales_linear_antialias": ANTIALIAS,
    "test_resize_downsample_sizes_linear_antialias": ANTIALIAS,
    "test_resize_downsample_scales_cubic_antialias": ANTIALIAS,
    "test_resize_downsample_sizes_cubic_antialias": ANTIALIAS,
    "test_resize_tf_crop_and_resize_extrapolation_value": "a constant outside is not linear",
    "test_scatter_elements_with_reduction_max": NONLINEAR,
    "test_scatter_elements_with_reduction_min": NONLINEAR,
    "test_scatter_elements_with_reduction_mul": NONLINEAR,
    "test_scatternd_max": NONLINEAR,
    "test_scatternd_max_with_element_indices": NONLINEAR,
    "test_scatternd_min": NONLINEAR,
    "test_scatternd_min_with_element_indices": NONLINEAR,
    "test_scatternd_multiply": NONLINEAR,
}


def _array(value: Any) -> NDArray[Any]:
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return np.asarray(value)


def _is_current(node: onnx.NodeProto, opset: int) -> bool:
    """Whether the case's form of the operator is that of opset 20 or newer."""
    oldest = onnx.defs.get_schema(node.op_type, OLDEST_OPSET).since_version
    return onnx.defs.get_schema(node.op_type, opset).since_version >= oldest


def _is_in_scope(case: Any) -> bool:
    nodes = case.model.graph.node
    if len(nodes) != 1 or nodes[0].domain or nodes[0].op_type not in LINEAR:
        return False
    if not LINEAR[nodes[0].op_type].accepts(read_node(nodes[0]).attributes):
        return False
    opset = next(o.version for o in case.model.opset_import if not o.domain)
    arrays = [_array(value) for data in case.data_sets for side in data for value in side]
    return _is_current(nodes[0], opset) and all(array.dtype.name in ELEMENTS for array in arrays)


def cases() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = load_model_tests(kind="node")
    for case in filter(_is_in_scope, found):
        reason = KNOWN_FAILURES.get(case.name)
        marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
        yield pytest.param(case, id=case.name.removeprefix("test_"), marks=marks)


@pytest.mark.parametrize("case", list(cases()))
def test_node(case: Any) -> None:
    graph = case.model.graph
    node = read_node(graph.node[0])
    for inputs, outputs in case.data_sets:
        feed = {
            value.name: torch.from_numpy(_array(array).copy())
            for value, array in zip(graph.input, inputs, strict=True)
        }
        operands = [feed[name] if name else None for name in node.inputs]
        results = LINEAR[node.op_type].apply(operands, node.attributes)
        for result, expected in zip(results, map(_array, outputs), strict=False):
            assert tuple(result.shape) == expected.shape
            assert result.numpy().dtype.kind == expected.dtype.kind
            np.testing.assert_allclose(
                result.numpy(), expected, rtol=max(case.rtol, 1e-4), atol=1e-5
            )
