"""onnx2snn: trained ONNX models as spiking neural networks with signGD neurons."""

from onnx2snn.conversion import convert
from onnx2snn.export import export
from onnx2snn.ops import SpikingOperator, register
from onnx2snn.ops.errors import DataError, ModelError, Onnx2SnnError, UsageError
from onnx2snn.runtime import SpikingSession
from onnx2snn.saving import save
from onnx2snn.settings import Settings

__all__ = [
    "DataError",
    "ModelError",
    "Onnx2SnnError",
    "Settings",
    "SpikingOperator",
    "SpikingSession",
    "UsageError",
    "convert",
    "export",
    "register",
    "save",
]
