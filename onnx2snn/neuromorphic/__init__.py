"""Spiking files in the formats of neuromorphic tools."""

from onnx2snn.neuromorphic.nir import nir_bytes, to_nir

__all__ = ["nir_bytes", "to_nir"]
