"""Safe loading: an untrusted file becomes a complete, checked ModelProto or one clear error.

Nothing outside the model's own folder is read, and nothing in the file is executed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import onnx

from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.loading.checks import check_model
from onnx2snn.runtime.loading.outputs import plain_outputs

_CHUNK = 1 << 22
_BITS: dict[int, int] = {
    onnx.TensorProto.FLOAT: 32,
    onnx.TensorProto.UINT8: 8,
    onnx.TensorProto.INT8: 8,
    onnx.TensorProto.UINT16: 16,
    onnx.TensorProto.INT16: 16,
    onnx.TensorProto.INT32: 32,
    onnx.TensorProto.INT64: 64,
    onnx.TensorProto.BOOL: 8,
    onnx.TensorProto.FLOAT16: 16,
    onnx.TensorProto.DOUBLE: 64,
    onnx.TensorProto.UINT32: 32,
    onnx.TensorProto.UINT64: 64,
    onnx.TensorProto.BFLOAT16: 16,
}


def load_model(path: Path) -> onnx.ModelProto:
    """Read and check a model, external data included; ModelError says what is wrong with it."""
    path = Path(path)
    model = _parse(path)
    try:
        for tensor in _external_tensors(model):
            _load_external(tensor, path.parent)
        model = plain_outputs(model)
        check_model(model)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    return model


def sha256(path: Path) -> str:
    """The SHA-256 of a model as hex digits.

    That of the file alone where it stands alone; otherwise each external data file's name
    and contents follow, in order of their names.
    """
    path = Path(path)
    digest = hashlib.sha256()
    _feed(digest, path)
    locations: set[str] = set()
    for tensor in _external_tensors(_parse(path)):
        try:
            _external_file(tensor, path.parent)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        locations.add(_entries(tensor)["location"])
    for location in sorted(locations):
        digest.update(location.encode())
        _feed(digest, path.parent / location)
    return digest.hexdigest()


def _parse(path: Path) -> onnx.ModelProto:
    """The message in the file, external data not yet read."""
    if not path.exists():
        raise ModelError(f"{path}: no such file; check the path")
    if not path.is_file():
        raise ModelError(f"{path}: not a file; name the .onnx file itself")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    if not data:
        raise ModelError(f"{path}: the file is empty; export or copy the model again")
    try:
        return parse_model(data)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def parse_model(data: bytes) -> onnx.ModelProto:
    """The message in `data`, not yet checked; ModelError says what the bytes probably are."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # protobuf's DecodeError, which has no typed import
        raise ModelError(_diagnosis(data)) from error
    if not model.HasField("graph") or not _is_text(model):
        raise ModelError(_diagnosis(data))
    return model


def _is_text(message: Any) -> bool:
    """Whether every string in a protobuf message is UTF-8: others come as bytes."""
    for field, content in message.ListFields():
        values = content if hasattr(content, "extend") else [content]
        if field.type == field.TYPE_STRING and any(isinstance(v, bytes) for v in values):
            return False
        if field.type == field.TYPE_MESSAGE and not all(map(_is_text, values)):
            return False
    return True


def _diagnosis(data: bytes) -> str:
    """What a file that does not parse probably is."""
    if data[:4] == b"PK\x03\x04" or (data[:1] == b"\x80" and data[1:2] in b"\2\3\4\5"):
        return (
            "not an ONNX file but a pickle or PyTorch checkpoint, which is never opened; "
            "export it with torch.onnx.export"
        )
    if data[:8] == b"version ":
        return "not an ONNX file but a Git LFS pointer; run `git lfs pull`"
    if len(data) > 1 << 31:
        return "larger than the 2 GB a protobuf may have; save it with external data"
    return "not an ONNX file, or one cut short; export or copy the model again"


def _external_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor whose data lies in another file, wherever it is in the model."""
    graphs = [model.graph, *(info.algorithm for info in model.training_info)]
    nodes = [node for function in model.functions for node in function.node]
    for tensor in (*(t for g in graphs for t in _in_graph(g)), *_in_nodes(nodes)):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield tensor


def _in_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _in_nodes(list(graph.node))


def _in_nodes(nodes: list[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        sparse = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
        for one in [*sparse, *attribute.sparse_tensors]:
            yield from (one.values, one.indices)
        for graph in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
            yield from _in_graph(graph)


def _entries(tensor: onnx.TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def _external_file(tensor: onnx.TensorProto, folder: Path) -> Path:
    """The data file of a tensor, certainly a file within the model's folder."""
    location = _entries(tensor).get("location", "")
    about = f"tensor {tensor.name!r}: external data file {location!r}"
    if not location or "\0" in location:
        raise ModelError(f"tensor {tensor.name!r}: external data without a file name")
    parts = {*PurePosixPath(location).parts, *PureWindowsPath(location).parts}
    absolute = PurePosixPath(location).is_absolute() or PureWindowsPath(location).anchor
    file = folder / location
    if absolute or ".." in parts or not file.resolve().is_relative_to(folder.resolve()):
        raise ModelError(f"{about} lies outside the model's folder; move it beside the model")
    if not file.is_file():
        raise ModelError(f"{about} is missing; put it beside the model")
    return file


def _load_external(tensor: onnx.TensorProto, folder: Path) -> None:
    file = _external_file(tensor, folder)
    about = f"tensor {tensor.name!r}: external data file {file.name!r}"
    entries = _entries(tensor)
    size = file.stat().st_size
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(max(size - offset, 0))))
    except ValueError as error:
        raise ModelError(f"{about}: offset and length are not whole numbers") from error
    if offset < 0 or length < 0 or offset + length > size:
        raise ModelError(
            f"{about} holds {size} bytes, but {offset} + {length} are declared; "
            "copy it again in full"
        )
    needed = _bytes_of(tensor)
    if needed is not None and length != needed:
        raise ModelError(
            f"{about}: {length} bytes declared, but a tensor of shape {list(tensor.dims)} takes "
            f"{needed}; export the model again"
        )
    with file.open("rb") as stream:
        stream.seek(offset)
        tensor.raw_data = stream.read(length)
    del tensor.external_data[:]
    tensor.data_location = onnx.TensorProto.DEFAULT


def _bytes_of(tensor: onnx.TensorProto) -> int | None:
    bits = _BITS.get(tensor.data_type)
    if bits is None:
        return None
    count: int = 1
    for dim in tensor.dims:
        count *= dim
    return count * bits // 8


def _feed(digest: hashlib._Hash, path: Path) -> None:
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
