"""The canonical form: one network, one graph, whichever exporter wrote it."""

from onnx2snn.canonical.domain import CANONICAL_DOMAIN
from onnx2snn.canonical.pipeline import PASSES, canonicalise
from onnx2snn.canonical.upgrade import TARGET_OPSET

__all__ = ["CANONICAL_DOMAIN", "PASSES", "TARGET_OPSET", "canonicalise"]
