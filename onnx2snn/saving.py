"""Writes a model to a file, large weights to one of their own beside it."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import onnx
from onnx import numpy_helper

from onnx2snn import files
from onnx2snn.runtime.loading import apart, check_schema, is_large


def save(model: onnx.ModelProto, path: str | Path, *, force: bool = False) -> None:
    """Check `model` and write it to `path`, whole or not at all.

    Weights of more than a GiB go to a file of their own beside it, `path` with ".data" behind it.
    Raises UsageError where a file exists, unless `force`, or cannot be written.
    """
    check_schema(model)
    path = Path(path)
    if not is_large(model):
        data = model.SerializeToString()
        files.write(path, lambda stream: stream.write(data), force=force)
        return
    beside = path.with_name(f"{path.name}.data")
    light, weights = apart(model, beside.name)

    def fill(stream: IO[bytes]) -> None:
        for tensor in weights:
            stream.write(numpy_helper.to_array(tensor).tobytes())

    data = light.SerializeToString()
    files.write_together({beside: fill, path: lambda stream: stream.write(data)}, force=force)
