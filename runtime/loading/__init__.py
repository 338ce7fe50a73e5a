"""Safe loading of untrusted model files."""

from onnx2snn.runtime.loading.checks import check_model, check_schema
from onnx2snn.runtime.loading.detach import apart, is_large
from onnx2snn.runtime.loading.load import load_model, parse_model, sha256
from onnx2snn.runtime.loading.outputs import plain_outputs

__all__ = [
    "apart",
    "check_model",
    "check_schema",
    "is_large",
    "load_model",
    "parse_model",
    "plain_outputs",
    "sha256",
]
