"""How fast the error of every operator falls with T, against the rate that its record declares."""

from __future__ import annotations

import numpy as np
import pytest
from operator_rows import FIRST
from test_claims import data, model_of

import onnx2snn
from onnx2snn.ops import BY_SOURCE

TIMES = (64, 128, 256, 512)
TOLERANCE = 0.15


@pytest.mark.parametrize("source", [source for source in FIRST if not FIRST[source].nodes])
def test_rate(source: str) -> None:
    """Least squares of log error over log T, errors being those of the sites' estimates."""
    from onnxruntime import InferenceSession

    row = FIRST[source]
    samples = data(row, 16, 1)
    snn = onnx2snn.convert(
        model_of(row, upstream=False), samples, schedule="inverse", time_steps=TIMES[-1]
    )
    session = onnx2snn.SpikingSession(snn, device="cpu", precision="float64")
    (decoded,) = session.run(None, samples, at=TIMES)
    limit = InferenceSession(snn.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = limit.run(None, samples)
    errors = [np.linalg.norm(y - expected) for y in decoded]
    slope, _ = np.polyfit(np.log(TIMES), np.log(errors), 1)
    assert -slope >= BY_SOURCE[source].rate - TOLERANCE
