"""Shapes and types of all tensors of a plan, those inside spiking nodes included.

ONNX's shape inference knows nothing of spiking nodes, so it runs on their standard form.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from onnx2snn.export.once import Inferred, Once
from onnx2snn.export.writer import Names, Shape, Store, Writer
from onnx2snn.ops.schema import BODY_OPSET
from onnx2snn.runtime.plan import Plan
from onnx2snn.runtime.state import Parameters

_HEAVY = 1 << 12


def infer(plan: Plan, parameters: Mapping[str, Parameters]) -> Inferred:
    """Shapes and element types by tensor name, as far as they follow from the inputs'."""
    names, told = Names({info.name for info in plan.graph.inputs}), plan.graph
    known = Inferred(told.shapes, told.element_types)
    once = Once(plan, Writer(Store(names, np.dtype(np.float32))), parameters, known)
    once.write()
    inputs = [
        helper.make_tensor_value_info(info.name, info.element_type, info.shape)
        for info in plan.graph.inputs
    ]
    opsets = {"": BODY_OPSET, **plan.graph.opsets}
    model = helper.make_model(
        helper.make_graph(once.writer.nodes, "once", inputs, []),
        opset_imports=[helper.make_opsetid(*item) for item in opsets.items()],
    )
    for name, array in once.writer.store.arrays.items():
        if array.size > _HEAVY:
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            model.graph.input.append(helper.make_tensor_value_info(name, kind, array.shape))
        else:
            model.graph.initializer.append(numpy_helper.from_array(array, name))
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    values = {value.name: value for value in (*inferred.value_info, *inferred.input)}
    found = {tensor: values[name] for tensor, name in once.values.items() if name in values}
    shapes = {tensor: _shape(value) for tensor, value in found.items()}
    types = {tensor: value.type.tensor_type.elem_type for tensor, value in found.items()}
    return Inferred(
        {**told.shapes, **{tensor: s for tensor, s in shapes.items() if s is not None}},
        {**types, **told.element_types},
    )


def _shape(value: onnx.ValueInfoProto) -> Shape | None:
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return None
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else (dim.dim_param or None)
        for dim in kind.shape.dim
    )
