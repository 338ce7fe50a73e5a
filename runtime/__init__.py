"""Runtime: executes a spiking file over T time steps in PyTorch."""

from onnx2snn.runtime.session import Point, SpikingSession

__all__ = ["Point", "SpikingSession"]
