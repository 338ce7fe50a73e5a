"""One standard ONNX node at a time, for operators without torch code.

onnxruntime computes it, or, where that has no kernel, onnx's own reference in numpy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import Tensor

from onnx2snn.ops import BY_SOURCE
from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.node import Node
from onnx2snn.ops.schema import CANONICAL_DOMAIN, source_function
from onnx2snn.runtime.captures import standalone

_UNKNOWN_OPSET = re.compile(r"Opset (\d+) is under development")
_UNKNOWN_OPERATOR = re.compile(r"No Op registered|not a registered function/op")
# What precedes the message itself: error code, running node, place in onnxruntime's source.
_PREAMBLE = re.compile(
    r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : "
    r"|Non-zero status code returned while running .*? Status Message: "
    r"|/\S+:\d+ .*?\)(?: const)? "
)
# The format of the little models, whatever their opset; onnxruntime refuses any newer than it.
_IR_VERSION = 10
# Stands in for the standard domain where the node is of another.
_PLAIN_OPSET = 20
_Signature = tuple[tuple[torch.dtype, int] | None, ...]


class SingleNode:
    """A node as a callable on tensors, run on the CPU.

    Sessions are opened once per combination of operand types and ranks. Half precision is
    computed in float32, and so is float64 where onnxruntime has no such kernel; floating
    results then return to the precision of the operands. Floating and boolean results come
    back on the operands' device, integer results stay on the CPU.
    """

    def __init__(self, node: Node, opset_imports: Mapping[str, int]) -> None:
        self._node = node
        self._opsets = _imports(node, opset_imports)
        self._sessions: dict[_Signature, tuple[Any, bool]] = {}

    @property
    def session_count(self) -> int:
        """Sessions opened so far."""
        return len(self._sessions)

    def __call__(self, operands: Sequence[Tensor | None]) -> list[Tensor]:
        """One result per output of the node; absent outputs are empty tensors."""
        signature = tuple(None if t is None else (t.dtype, t.ndim) for t in operands)
        if signature not in self._sessions:
            self._sessions[signature] = self._open(signature)
        session, narrowed = self._sessions[signature]
        feed = {
            f"operand{position}": _to_numpy(tensor, narrowed)
            for position, tensor in enumerate(operands)
            if tensor is not None
        }
        try:
            arrays = session.run(None, feed)
        except Exception as error:  # onnxruntime's errors share no base class of their own
            if not narrowed and any(t is not None and t.dtype == torch.float64 for t in operands):
                self._sessions[signature] = self._session(signature, narrowed=True), True
                return self(operands)
            raise ModelError(_reason(error, self._node)) from error
        present = [t for t in operands if t is not None]
        precision = next((t.dtype for t in present if narrowed and t.is_floating_point()), None)
        device = next((t.device for t in present if t.device.type != "cpu"), torch.device("cpu"))
        computed = iter([_to_torch(array, precision, device) for array in arrays])
        return [next(computed) if name else torch.empty(0) for name in self._node.outputs]

    def _open(self, signature: _Signature) -> tuple[Any, bool]:
        """A session and whether floating operands must be narrowed to float32 for it."""
        dtypes = {entry[0] for entry in signature if entry is not None}
        if dtypes.isdisjoint({torch.float16, torch.bfloat16}):
            try:
                return self._session(signature, narrowed=False), False
            except Exception as error:
                if torch.float64 not in dtypes:
                    return self._reference(signature, error), True
        try:
            return self._session(signature, narrowed=True), True
        except Exception as error:
            return self._reference(signature, error), True

    def _reference(self, signature: _Signature, refusal: Exception) -> ReferenceEvaluator:
        """Onnx's own evaluator; raises what onnxruntime had to say if it lacks the operator."""
        try:
            return ReferenceEvaluator(self._model(signature, narrowed=True))
        except Exception as error:
            raise ModelError(_reason(refusal, self._node)) from error

    def _session(self, signature: _Signature, narrowed: bool) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        model = self._model(signature, narrowed).SerializeToString()
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def _model(self, signature: _Signature, narrowed: bool) -> onnx.ModelProto:
        """The node alone in a graph; onnxruntime infers the types of its outputs."""
        names = [
            "" if entry is None else f"operand{position}"
            for position, entry in enumerate(signature)
        ]
        alone = standalone(self._node, names)
        node = onnx.NodeProto(
            op_type=alone.op_type,
            domain=alone.domain,
            input=alone.inputs,
            output=self._output_names(),
            attribute=_attributes(alone.attributes),
        )
        inputs = [
            helper.make_tensor_value_info(name, _onnx_type(entry[0], narrowed), [None] * entry[1])
            for name, entry in zip(names, signature, strict=True)
            if entry is not None
        ]
        outputs = [
            onnx.ValueInfoProto(name=name)
            for name, wanted in zip(node.output, self._node.outputs, strict=True)
            if wanted
        ]
        imports = [helper.make_opsetid(*item) for item in self._opsets.items()]
        return helper.make_model(
            helper.make_graph([node], "node", inputs, outputs),
            opset_imports=imports,
            ir_version=_IR_VERSION,
            functions=[*_bodies(self._node)],
        )

    def _output_names(self) -> list[str]:
        """Names of the outputs: onnxruntime accepts only optional ones without a name."""
        optional = _optional_outputs(self._node, self._opsets[self._node.domain])
        return [
            "" if not name and position in optional else f"result{position}"
            for position, name in enumerate(self._node.outputs)
        ]


def _bodies(node: Node) -> Iterator[onnx.FunctionProto]:
    """What onnxruntime must be told of an operator that only the canonical form has."""
    if node.domain == CANONICAL_DOMAIN and node.op_type in BY_SOURCE:
        yield source_function(BY_SOURCE[node.op_type], _PLAIN_OPSET)


def _schema(node: Node, version: int) -> onnx.defs.OpSchema | None:
    try:
        return onnx.defs.get_schema(node.op_type, version, node.domain)
    except onnx.defs.SchemaError:
        return None


def _imports(node: Node, opsets: Mapping[str, int]) -> dict[str, int]:
    """The opsets to import: for a node without subgraphs only its own domain's matters.

    That one is stamped with the version that last changed the operator: its meaning is the
    same, and onnxruntime need not know the newest opset for it.
    """
    imports = {node.domain: 1, **opsets}
    if any(isinstance(value, onnx.GraphProto) for value in node.attributes.values()):
        return imports
    schema = _schema(node, imports[node.domain])
    version = imports[node.domain] if schema is None else schema.since_version
    return {"": _PLAIN_OPSET, node.domain: version}


def _optional_outputs(node: Node, version: int) -> set[int]:
    schema = _schema(node, version)
    if schema is None:
        return set(range(len(node.outputs)))
    optional = onnx.defs.OpSchema.FormalParameterOption.Optional
    return {i for i, output in enumerate(schema.outputs) if output.option == optional}


def _onnx_type(dtype: torch.dtype, narrowed: bool) -> int:
    if narrowed and dtype.is_floating_point:
        dtype = torch.float32
    return helper.np_dtype_to_tensor_dtype(torch.empty(0, dtype=dtype).numpy().dtype)


def _to_numpy(tensor: Tensor, narrowed: bool) -> NDArray[Any]:
    narrow = narrowed and tensor.is_floating_point()
    plain = tensor.detach().to("cpu", torch.float32 if narrow else tensor.dtype)
    return np.asarray(plain.numpy())


@cache
def type_name(dtype: np.dtype[Any]) -> str:
    """The name of a type, which numpy puts together anew for every question."""
    return dtype.name


_NATIVE = re.compile(r"bool|u?int(8|16|32|64)|u?longlong|float(16|32|64)")


def _is_numeric(array: NDArray[Any]) -> bool:
    return "float" in array.dtype.name or "int" in array.dtype.name or array.dtype.kind in "iub"


@cache
def _native(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], bool]:
    """The type that PyTorch reads, and whether its numbers are the same bits."""
    if _NATIVE.fullmatch(dtype.name):
        return np.dtype(dtype.str), True
    if "float" in dtype.name:
        return np.dtype(np.float32), False
    return np.dtype(np.uint8 if dtype.name.startswith("uint") else np.int8), False


def with_native_dtype(array: NDArray[Any]) -> NDArray[Any]:
    """`array` in a type that PyTorch reads: float32 for shorter floats, int8 for int4, and so on.

    numpy has two types of each width ("long" and "long long"), of which PyTorch knows one.
    """
    dtype, same = _native(array.dtype)
    return array.view(dtype) if same else array.astype(dtype)


def _to_torch(array: Any, precision: torch.dtype | None, device: torch.device) -> Tensor:
    if not isinstance(array, np.ndarray) or not _is_numeric(array):
        raise ModelError("a result is no tensor of numbers; strings and sequences do not run")
    tensor = torch.from_numpy(with_native_dtype(array))
    if tensor.is_floating_point():
        return tensor.to(device, precision or tensor.dtype)
    return tensor.to(device) if tensor.dtype is torch.bool else tensor


def _attributes(attributes: Mapping[str, Any]) -> Iterator[onnx.AttributeProto]:
    for name, value in attributes.items():
        if isinstance(value, np.ndarray):
            yield helper.make_attribute(name, numpy_helper.from_array(value))
        elif isinstance(value, (list, tuple)) and not value:
            yield helper.make_attribute(name, [], attr_type=onnx.AttributeProto.INTS)
        else:
            yield helper.make_attribute(name, value)


def _reason(error: Exception, node: Node) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    if _UNKNOWN_OPERATOR.search(lines[0]):
        return (
            f"operator '{node.op_type}' of domain '{node.domain or 'ai.onnx'}' is unknown to "
            "onnxruntime; --exclude is no help: register it as an operator or replace it"
        )
    if opset := _UNKNOWN_OPSET.search(lines[0]):
        return f"onnxruntime does not know {node.op_type} as of opset {opset[1]} yet"
    return f"onnxruntime refuses {node.op_type}: {_PREAMBLE.sub('', lines[0]).strip()}"
