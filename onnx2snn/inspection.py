"""Coverage of any model: a plain one as it would be converted, a spiking one as it is."""

from __future__ import annotations

import json
from pathlib import Path

import onnx

from onnx2snn.coverage import Coverage, coverage
from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.graph import read_graph
from onnx2snn.runtime.loading import load_model
from onnx2snn.runtime.open import REFUSALS_KEY, is_spiking
from onnx2snn.runtime.plan import compile_plan
from onnx2snn.settings import Settings
from onnx2snn.source import Source, matched_plan


def inspect_model(model: str | Path | onnx.ModelProto) -> Coverage:
    """What is, or would become, of every node. Raises ModelError for a model that is damaged."""
    loaded = model if isinstance(model, onnx.ModelProto) else load_model(Path(model))
    if not is_spiking(loaded):
        matched, plan = matched_plan(Source.read(loaded), Settings())
        return coverage(plan, matched.refusals, matched.merged)
    plan = compile_plan(read_graph(loaded))
    return coverage(plan, _refusals(plan.graph.metadata.get(REFUSALS_KEY, "{}")))


def _refusals(text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ModelError(
            f"metadata '{REFUSALS_KEY}' is no JSON; convert the model again"
        ) from error
    if not isinstance(found, dict):
        raise ModelError(f"metadata '{REFUSALS_KEY}' is no object; convert the model again")
    return {str(name): str(reason) for name, reason in found.items()}
