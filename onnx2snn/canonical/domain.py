"""The domain of operators of the canonical form that the standard lacks, or has only lately."""

CANONICAL_DOMAIN = "onnx2snn.canonical"
CANONICAL_VERSION = 1
