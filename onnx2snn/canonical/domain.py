"""The domain of operators of the canonical form that the standard lacks, or has only lately."""

from onnx2snn.ops.schema import CANONICAL_DOMAIN

__all__ = ["CANONICAL_DOMAIN", "CANONICAL_VERSION"]

CANONICAL_VERSION = 1
