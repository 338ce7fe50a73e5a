"""Keep heavy weights out of the tools that copy or serialise a whole model.

onnx's inliner, version converter and shape inference work on serialised models: twice the
memory, and a limit of 2 GB. They need the values of small tensors only (shapes, axes).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

import numpy as np
import onnx
from onnx import numpy_helper

from onnx2snn.ops.errors import ModelError

_HEAVY = 1 << 12
_FLOAT_KINDS = {"value_float": np.float32, "value_floats": np.float32}
_INT_KINDS = {"value_int": np.int64, "value_ints": np.int64}

Weights = dict[str, onnx.TensorProto]

# A protobuf message holds at most 2 GB, and to make one of a model takes its memory twice.
MOST_BYTES = 1 << 30
_PLAIN = frozenset("?bBhHiIlLqQefd")


def detach(model: onnx.ModelProto) -> tuple[onnx.ModelProto, Weights]:
    """Copy a model but for its heavy stored tensors, which become inputs of the copy.

    Constant nodes and sparse initialisers become plain initialisers, and initialisers listed
    as inputs are no longer. The weights handed back are the model's own, not copies.
    """
    light = onnx.ModelProto()
    _copy_fields(model, light, except_for=("graph",))
    graph = model.graph
    _copy_fields(
        graph, light.graph, except_for=("initializer", "sparse_initializer", "node", "input")
    )
    stored = [*graph.initializer, *map(_densified, graph.sparse_initializer)]
    for node in graph.node:
        tensor = constant_of(node)
        if tensor is None:
            light.graph.node.append(node)
        else:
            stored.append(tensor)
    names = {tensor.name for tensor in stored}
    light.graph.input.extend(value for value in graph.input if value.name not in names)
    outputs = {value.name for value in graph.output}
    weights = {
        tensor.name: tensor
        for tensor in stored
        if prod(tensor.dims) > _HEAVY and tensor.name not in outputs
    }
    light.graph.initializer.extend(t for t in stored if t.name not in weights)
    light.graph.input.extend(
        onnx.helper.make_tensor_value_info(name, tensor.data_type, tensor.dims)
        for name, tensor in weights.items()
    )
    return light, weights


def is_large(model: onnx.ModelProto) -> bool:
    """Whether the stored tensors are more than one message should hold."""
    return sum(map(_size, model.graph.initializer)) > MOST_BYTES


def apart(model: onnx.ModelProto, location: str) -> tuple[onnx.ModelProto, list[onnx.TensorProto]]:
    """A copy of a model whose heavy initialisers are external data of a file `location`.

    Also these tensors, the model's own, in the order of the file.
    """
    light = onnx.ModelProto()
    _copy_fields(model, light, except_for=("graph",))
    _copy_fields(model.graph, light.graph, except_for=("initializer",))
    heavy, offset = [], 0
    for tensor in model.graph.initializer:
        if _size(tensor) <= _HEAVY:
            light.graph.initializer.append(tensor)
            continue
        heavy.append(tensor)
        moved = light.graph.initializer.add(
            name=tensor.name,
            data_type=tensor.data_type,
            dims=tensor.dims,
            data_location=onnx.TensorProto.EXTERNAL,
        )
        entries = {"location": location, "offset": offset, "length": _size(tensor)}
        for key, value in entries.items():
            moved.external_data.add(key=key, value=str(value))
        offset += _size(tensor)
    return light, heavy


def _size(tensor: onnx.TensorProto) -> int:
    """Bytes of the data, 0 where it is of a kind that is not stored as plain numbers."""
    kind = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
    return prod(tensor.dims) * kind.itemsize if kind.char in _PLAIN else 0


def lower_constants(model: onnx.ModelProto) -> None:
    """Turn the Constant nodes of the main graph into initialisers, in place."""
    kept: list[onnx.NodeProto] = []
    for node in model.graph.node:
        tensor = constant_of(node)
        if tensor is None:
            kept.append(node)
        else:
            model.graph.initializer.append(tensor)
    if len(kept) < len(model.graph.node):
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
        del model.graph.node[:]
        model.graph.node.extend(nodes)


def constant_of(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """What a Constant node holds, under the name it writes; None for any other node."""
    if node.op_type != "Constant" or node.domain not in ("", "ai.onnx"):
        return None
    if len(node.attribute) != 1:
        raise ModelError(f"node {node.name!r}: a Constant must have exactly one value")
    attribute = node.attribute[0]
    value = onnx.helper.get_attribute_value(attribute)
    name = node.output[0]
    if attribute.name == "value":
        tensor = onnx.TensorProto()
        tensor.CopyFrom(value)
        tensor.name = name
        return tensor
    if attribute.name == "sparse_value":
        tensor = _densified(value)
        tensor.name = name
        return tensor
    if attribute.name in ("value_string", "value_strings"):
        return None
    kind = {**_FLOAT_KINDS, **_INT_KINDS}.get(attribute.name)
    if kind is None:
        raise ModelError(f"node {node.name!r}: Constant attribute {attribute.name!r} is unknown")
    return numpy_helper.from_array(np.asarray(value, dtype=kind), name)


def _densified(sparse: onnx.SparseTensorProto) -> onnx.TensorProto:
    values = numpy_helper.to_array(sparse.values)
    indices = numpy_helper.to_array(sparse.indices)
    shape = tuple(sparse.dims)
    dense = np.zeros(shape, values.dtype)
    place = np.unravel_index(indices, shape) if indices.ndim == 1 else tuple(indices.T)
    dense[place] = values
    return numpy_helper.from_array(dense, sparse.values.name)


def _copy_fields(
    source: onnx.ModelProto | onnx.GraphProto,
    target: onnx.ModelProto | onnx.GraphProto,
    except_for: Iterable[str],
) -> None:
    for field, value in source.ListFields():
        if field.name in except_for:
            continue
        if isinstance(value, str | bytes | int | float):
            setattr(target, field.name, value)
        elif hasattr(value, "extend"):
            getattr(target, field.name).extend(value)
        else:
            getattr(target, field.name).CopyFrom(value)
