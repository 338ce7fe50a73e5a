"""Threads that share a program: callers at once, and a forked process."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from session_models import feed, spiking

from onnx2snn.runtime import threads
from onnx2snn.runtime.fused.build import compiler
from onnx2snn.runtime.session import SpikingSession

pytestmark = pytest.mark.skipif(compiler() is None, reason="needs a C compiler")
FORKING = """
import os, sys
import numpy as np
import torch
from onnx2snn.runtime import threads
from onnx2snn.runtime.session import SpikingSession

threads.SHARED_IN_PROGRAM = 0
torch.set_num_threads(3)
session = SpikingSession(sys.argv[1], device="cpu")
arrays = dict(np.load(sys.argv[2]))
expected = [session.run(None, arrays)[0] for _ in range(2)][1]
child = os.fork()
tasks = lambda: len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else None
alone = tasks()
found = [session.run(None, arrays)[0] for _ in range(3)]
same = all(np.array_equal(x, expected) for x in found)
if not child:
    hired = alone is None or tasks() >= alone + 2
    os._exit(0 if same and hired else 1)
assert same and os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


@pytest.fixture
def four_threads(monkeypatch: pytest.MonkeyPatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(threads, "SHARED_IN_PROGRAM", 0)
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("four_threads")
def test_callers_at_once_do_not_disturb_each_other() -> None:
    """One of them has the helpers, the others work alone."""
    model = spiking("residual_mlp")
    feeds = [feed("residual_mlp", samples, samples) for samples in (1, 2, 3, 4)]
    expected = [SpikingSession(model, device="cpu").run(None, arrays)[0] for arrays in feeds]

    def caller(place: int) -> bool:
        torch.set_num_threads(4)
        session, arrays = SpikingSession(model, device="cpu"), feeds[place]
        return all(
            np.array_equal(session.run(None, arrays)[0], expected[place]) for _ in range(100)
        )

    with ThreadPoolExecutor(len(feeds)) as pool:
        assert all(pool.map(caller, range(len(feeds))))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_runs_too(tmp_path: Path) -> None:
    onnx.save(spiking("residual_mlp"), tmp_path / "model.onnx")
    np.savez(tmp_path / "feed.npz", **feed("residual_mlp", 3))
    command = [
        sys.executable,
        "-c",
        FORKING,
        *(str(tmp_path / n) for n in ("model.onnx", "feed.npz")),
    ]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr[-2000:]
