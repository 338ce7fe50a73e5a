"""`preset="paper"` against trajectories of the paper's own code, spike for spike."""

from __future__ import annotations

import numpy as np
import pytest
from golden import NETWORKS, TIME_STEPS, arrays, converted, digests, files, images, spikes
from measured import record

import onnx2snn

STEPS = range(1, TIME_STEPS + 1)
QUICK = ("mlp/model_dynamo_op20.onnx", "mlp/model_ts_op20.onnx", "cnn/model_rawbn_ts_op17.onnx")
ALL = [file for network in NETWORKS for file in files(network)]


def slow_if_more(file: str) -> object:
    """In the quick part, every network from one exporter, and every exporter once."""
    quick = "model_ts_op17" in file or file in QUICK
    return pytest.param(file, marks=() if quick else pytest.mark.slow)


EACH_FILE = pytest.mark.parametrize("file", [slow_if_more(file) for file in ALL])


@EACH_FILE
def test_every_spike_is_the_papers(file: str) -> None:
    network = file.split("/")[0]
    fired = spikes(converted(file), {"x": images(network, "x")[:2]}, TIME_STEPS)
    expected = [row for name, row in arrays().items() if name.startswith(f"{network}/spk_")]
    assert len(fired) == len(expected)
    for (site, found), digest in zip(fired.items(), expected, strict=True):
        wrong = (digests(found) != digest).any(axis=1).nonzero()[0] + 1
        record("spike bits of the paper's code", found.size, len(wrong))
        assert not len(wrong), f"{site}: spikes differ at steps {wrong.tolist()}"


@EACH_FILE
def test_logits_at_every_step(file: str) -> None:
    network = file.split("/")[0]
    expected, feed = arrays()[f"{network}/snn_f64"], {"x": images(network, "x")[:8]}
    double = onnx2snn.SpikingSession(converted(file), device="cpu", precision="float64")
    (found,) = double.run(None, feed, at=STEPS)
    record("logits of the paper's code", found.size, largest=np.abs(found - expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("network", NETWORKS)
def test_in_single_precision_trajectories_part_late_and_little(network: str) -> None:
    """A rounding flips one spike and spreads: exact before, close after."""
    file = f"{network}/model_ts_op17.onnx"
    expected, feed = arrays()[f"{network}/snn_f64"], {"x": images(network, "x")[:8]}
    (found,) = onnx2snn.SpikingSession(converted(file), device="cpu").run(None, feed, at=STEPS)
    np.testing.assert_allclose(found[:4], expected[:4], rtol=0, atol=1e-6)
    norms = np.linalg.norm(expected, axis=(1, 2))
    assert (np.linalg.norm(found - expected, axis=(1, 2)) < 5e-2 * norms).all()
