"""An ONNX model as immutable Python records, free of protobuf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, helper, numpy_helper

from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.node import Node
from onnx2snn.runtime.captures import captured
from onnx2snn.runtime.loading.detach import detach

FLOATING = frozenset(
    {
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.DOUBLE,
        onnx.TensorProto.FLOAT16,
        onnx.TensorProto.BFLOAT16,
    }
)


@dataclass(frozen=True)
class TensorInfo:
    """A graph input or output: name, ONNX element type and shape (names where it is open)."""

    name: str
    element_type: int
    shape: tuple[int | str | None, ...] | None

    @property
    def type(self) -> str:
        """Element type in onnxruntime's spelling, e.g. "tensor(float)"."""
        name = onnx.TensorProto.DataType.Name(self.element_type).lower()
        return f"tensor({name})"

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Element type as numpy's."""
        return np.dtype(helper.tensor_dtype_to_np_dtype(self.element_type))


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order with the constants they read."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, NDArray[Any]]
    element_types: Mapping[str, int]
    shapes: Mapping[str, tuple[int | str | None, ...]]
    opsets: Mapping[str, int]
    metadata: Mapping[str, str]

    def is_discrete(self, tensor: str) -> bool:
        """Whether the tensor is known to hold integers or booleans."""
        element_type = self.element_types.get(tensor)
        return element_type is not None and element_type not in FLOATING


def _tensor_info(value: onnx.ValueInfoProto) -> TensorInfo:
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        raise ModelError(f"'{value.name}' is not a tensor; only tensors are supported")
    shape = None
    if tensor.HasField("shape"):
        shape = tuple(
            d.dim_value if d.HasField("dim_value") else (d.dim_param or None)
            for d in tensor.shape.dim
        )
    return TensorInfo(value.name, tensor.elem_type, shape)


def attribute_value(attribute: AttributeProto) -> Any:
    """The attribute as Python value: str for bytes, numpy array for tensors."""
    value = helper.get_attribute_value(attribute)
    if attribute.type == AttributeProto.STRING:
        return value.decode("utf-8", "replace")
    if attribute.type == AttributeProto.STRINGS:
        return [item.decode("utf-8", "replace") for item in value]
    if attribute.type == AttributeProto.TENSOR:
        return numpy_helper.to_array(value)
    return list(value) if attribute.type in (AttributeProto.INTS, AttributeProto.FLOATS) else value


def read_node(proto: onnx.NodeProto) -> Node:
    """The node record of one NodeProto; an unnamed node is called after its first output.

    What its sub-graphs capture are further inputs of the record, behind its own.
    """
    attributes = {a.name: attribute_value(a) for a in proto.attribute}
    return Node(
        proto.op_type,
        (*proto.input, *captured(attributes)),
        tuple(proto.output),
        attributes,
        proto.name or next(iter(proto.output), proto.op_type),
        "" if proto.domain == "ai.onnx" else proto.domain,
    )


def _typed_values(model: onnx.ModelProto) -> list[TensorInfo]:
    graph = model.graph
    values = (*graph.input, *graph.output, *graph.value_info)
    return [_tensor_info(v) for v in values if v.type.HasField("tensor_type")]


def read_graph(model: onnx.ModelProto) -> Graph:
    """The records of a checked model whose initializers are loaded."""
    graph = model.graph
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    light, _ = detach(model)
    typed = _typed_values(onnx.shape_inference.infer_shapes(light, data_prop=True))
    return Graph(
        inputs=tuple(_tensor_info(v) for v in graph.input if v.name not in constants),
        outputs=tuple(_tensor_info(v) for v in graph.output),
        nodes=tuple(read_node(node) for node in graph.node),
        constants=constants,
        element_types={
            **{v.name: v.element_type for v in typed},
            **{t.name: t.data_type for t in graph.initializer},
        },
        shapes={v.name: v.shape for v in typed if v.shape is not None},
        opsets={o.domain: o.version for o in model.opset_import},
        metadata={p.key: p.value for p in model.metadata_props},
    )
