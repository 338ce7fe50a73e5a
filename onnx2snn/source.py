"""A model as it was handed in, its canonical form, and the plan of its spiking graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from onnx2snn.canonical import canonicalise
from onnx2snn.canonical.bodies import defined
from onnx2snn.match import Matched, match
from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.graph import read_graph
from onnx2snn.runtime.loading import load_model, plain_outputs, sha256
from onnx2snn.runtime.open import is_spiking, know_operators
from onnx2snn.runtime.plan import Plan, compile_plan
from onnx2snn.settings import Settings


@dataclass(frozen=True)
class Source:
    """A model as it was handed in, and its canonical form."""

    original: onnx.ModelProto
    canonical: onnx.ModelProto
    sha256: str

    @staticmethod
    def read(model: str | Path | onnx.ModelProto) -> Source:
        """Load, check and canonicalise a model."""
        know_operators()
        if isinstance(model, onnx.ModelProto):
            model = plain_outputs(model)
            return Source(defined(model), _canonical(model), "")
        original = defined(load_model(Path(model)))
        return Source(original, _canonical(original), sha256(Path(model)))


def _canonical(model: onnx.ModelProto) -> onnx.ModelProto:
    if is_spiking(model):
        raise ModelError(
            "the model is a spiking file already; convert the model that it was made from"
        )
    return canonicalise(model)


def matched_plan(source: Source, settings: Settings) -> tuple[Matched, Plan]:
    """The spiking graph of a model, without parameters, and its plan."""
    matched = match(read_graph(source.canonical), settings.matching)
    return matched, compile_plan(matched.graph)
