"""Shapes of every tensor, inferred by onnx without carrying the weights along."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import shape_inference

from onnx2snn.canonical.bodies import add_functions
from onnx2snn.canonical.graph import is_output

_HEAVY = 1 << 10


def infer(graph: gs.Graph) -> None:
    """Set the type and shape of every tensor that inference knows; forget stale ones.

    A dimension is a number, a name shared by equal dimensions, or None.
    """
    given = {tensor.name for tensor in graph.inputs}
    for tensor in graph.tensors().values():
        written = isinstance(tensor, gs.Variable) and tensor.name not in given
        if written and not is_output(graph, tensor):
            tensor.dtype, tensor.shape = None, None
    found = _inferred(_skeleton(graph))
    for name, tensor in graph.tensors().items():
        if name in found and isinstance(tensor, gs.Variable):
            dtype, shape = found[name]
            tensor.dtype = dtype
            tensor.shape = shape


def _skeleton(graph: gs.Graph) -> onnx.ModelProto:
    """The graph with its larger stored tensors as inputs of known shape."""
    light = graph.copy()
    for tensor in light.tensors().values():
        if isinstance(tensor, gs.Constant) and np.prod(tensor.shape) > _HEAVY:
            tensor.to_variable(tensor.dtype, list(tensor.shape))
            tensor.type = "tensor_type"
            light.inputs.append(tensor)
    model: onnx.ModelProto = gs.export_onnx(light, do_type_check=False)
    add_functions(model)
    return model


def _inferred(model: onnx.ModelProto) -> dict[str, tuple[Any, list[Any] | None]]:
    try:
        model = shape_inference.infer_shapes(model, data_prop=True)
    except (RuntimeError, ValueError, TypeError):
        return {}
    found: dict[str, tuple[Any, list[Any] | None]] = {}
    for value in (*model.graph.value_info, *model.graph.output):
        kind = value.type.tensor_type
        if kind.elem_type:
            found[value.name] = (_numpy_type(kind.elem_type), _dimensions(kind))
    return found


def _numpy_type(element: int) -> Any:
    try:
        return onnx.helper.tensor_dtype_to_np_dtype(element)
    except KeyError:
        return element


def _dimensions(kind: onnx.TypeProto.Tensor) -> list[Any] | None:
    if not kind.HasField("shape"):
        return None
    return [
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None
        for dim in kind.shape.dim
    ]
