"""End-to-end tuning: gradient descent on step sizes, thresholds and initial estimates."""

from onnx2snn.calibration.tuning.tune import More, tuned

__all__ = ["More", "tuned"]
