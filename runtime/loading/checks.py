"""What a model must be before anything else looks at it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import checker, numpy_helper

from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.loading.detach import detach
from onnx2snn.runtime.loading.operators import check_operators, check_opsets
from onnx2snn.runtime.loading.wiring import check_wiring, name_apart

_WEIGHT_READERS = (
    *("Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "LayerNormalization"),
    *("InstanceNormalization", "GroupNormalization", "PRelu"),
)
_FLOATS = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.DOUBLE,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.BFLOAT16,
)
_FREE_INITIALIZERS = 4
_KNOWN_TYPES = frozenset(onnx.TensorProto.DataType.values()) - {onnx.TensorProto.UNDEFINED}


def check_model(model: onnx.ModelProto) -> None:
    """Raise ModelError for the first thing wrong; order and names of nodes are mended."""
    _check_interface(model)
    check_opsets(model)
    check_operators(model)
    check_wiring(model.graph)
    name_apart(model.graph)
    _check_training(model)
    _check_sizes(model)
    check_schema(model)
    _check_numbers(model)


def _check_interface(model: onnx.ModelProto) -> None:
    graph = model.graph
    if not graph.node:
        raise ModelError("the graph has no node; export the model again")
    if not graph.output:
        raise ModelError("the graph has no output; export the model again")
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    if not inputs:
        raise ModelError("the graph has no input; export the model with one")
    for value in (*inputs, *graph.output):
        kind = value.type.WhichOneof("value")
        if kind not in (None, "tensor_type"):
            raise ModelError(
                f"tensor {value.name!r}: {kind.removesuffix('_type')} inputs and outputs are "
                "not supported; export the model with plain tensors"
            )
    for value in inputs:
        if not value.type.tensor_type.elem_type:
            raise ModelError(f"tensor {value.name!r}: an input without a type; export again")
    for value in (*inputs, *graph.output, *graph.value_info):
        kind = value.type.tensor_type.elem_type
        if kind and kind not in _KNOWN_TYPES:
            raise ModelError(f"tensor {value.name!r}: element type {kind} is unknown; export again")


def _check_training(model: onnx.ModelProto) -> None:
    if model.training_info:
        raise ModelError("a training graph; export the model for inference")
    for node in model.graph.node:
        training = any(a.name == "training_mode" and a.i for a in node.attribute)
        if training and node.op_type == "BatchNormalization":
            raise ModelError(
                f"node {node.name!r}: BatchNormalization in training mode; call model.eval() "
                "and export the model for inference"
            )


def _check_sizes(model: onnx.ModelProto) -> None:
    """A stored tensor holds as many bytes as its shape says."""
    for tensor in model.graph.initializer:
        if not tensor.name:
            raise ModelError("a stored tensor has no name; export the model again")
        if tensor.data_type not in _FLOATS or not tensor.HasField("raw_data"):
            continue
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        needed = int(np.prod([int(d) for d in tensor.dims], dtype=object)) * kind.itemsize
        if len(tensor.raw_data) != needed:
            raise ModelError(
                f"tensor {tensor.name!r}: {len(tensor.raw_data)} bytes stored, but shape "
                f"{list(tensor.dims)} takes {needed}; export the model again"
            )


def check_schema(model: onnx.ModelProto) -> None:
    """onnx's own check, on a copy without heavy weights."""
    light, _ = detach(model)
    # Before version 4, stored tensors had to be inputs too; many files never minded.
    light.ir_version = max(light.ir_version, _FREE_INITIALIZERS)
    for output in light.graph.output:
        output.type.tensor_type.shape.SetInParent()  # onnx asks for one, no runtime does
    for node in light.graph.node:
        if node.op_type == "LayerNormalization" and not node.domain:
            node.domain = "com.microsoft" if _predates_layer_norm(model) else ""
        if node.op_type == "SimplifiedLayerNormalization":
            node.domain = "com.microsoft"
    try:
        checker.check_model(light)
    except checker.ValidationError as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"not a valid model: {reason}; export it again") from error
    except (RuntimeError, ValueError, TypeError) as error:
        raise ModelError(f"not a valid model: {error}; export it again") from error


def _predates_layer_norm(model: onnx.ModelProto) -> bool:
    return any(e.version < 17 for e in model.opset_import if e.domain in ("", "ai.onnx"))


def _check_numbers(model: onnx.ModelProto) -> None:
    """No NaN anywhere; nothing infinite among weights, where masks and bounds are none."""
    weights = {
        name
        for node in model.graph.node
        if node.op_type in _WEIGHT_READERS
        for name in list(node.input)[1 if node.op_type != "MatMul" else 0 :]
    }
    for tensor in _stored(model):
        values = _values(tensor)
        if tensor.data_type not in _FLOATS or not values.size:
            continue
        extremes = np.asarray([values.min(), values.max()], np.float64)
        if np.isnan(extremes).any():
            raise ModelError(f"tensor {tensor.name!r} holds NaN; train or export the model again")
        if np.isinf(extremes).any() and values.size > 1 and tensor.name in weights:
            raise ModelError(
                f"tensor {tensor.name!r} holds infinite weights; train or export the model again"
            )


def _values(tensor: onnx.TensorProto) -> NDArray[Any]:
    if tensor.data_type not in _KNOWN_TYPES:
        raise ModelError(
            f"tensor {tensor.name!r}: element type {tensor.data_type} is unknown; export again"
        )
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError) as error:
        raise ModelError(f"tensor {tensor.name!r}: {error}; export it again") from error


def _stored(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from model.graph.initializer
    yield from _in_constants(model.graph.node)


def _in_constants(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.HasField("t"):
                tensor = attribute.t
                tensor.name = tensor.name or node.output[0]
                yield tensor
