"""Opens a spiking file: loaded safely, checked against the operators' schemas."""

from __future__ import annotations

from pathlib import Path

import onnx

from onnx2snn.ops import BY_OP_TYPE, DOMAIN
from onnx2snn.ops.registry import load_plugins
from onnx2snn.ops.schema import register_schemas
from onnx2snn.runtime.loading import check_model, load_model, parse_model

REFUSALS_KEY = "onnx2snn.refusals"

register_schemas(BY_OP_TYPE.values())


def know_operators() -> None:
    """Let plug-ins register their operators, and `onnx.checker` know them all."""
    load_plugins()
    register_schemas(BY_OP_TYPE.values())


def open_model(model: str | Path | bytes | onnx.ModelProto) -> onnx.ModelProto:
    """The checked model behind a path, its bytes, or a model already loaded.

    Raises ModelError for what cannot be read, what a newer onnx2snn wrote, and what breaks
    an operator's schema.
    """
    know_operators()
    if isinstance(model, str | Path):
        return load_model(Path(model))
    if isinstance(model, bytes):
        model = parse_model(model)
    check_model(model)
    return model


def is_spiking(model: onnx.ModelProto) -> bool:
    """Whether the model holds spiking operators already."""
    return any(node.domain == DOMAIN for node in model.graph.node)
