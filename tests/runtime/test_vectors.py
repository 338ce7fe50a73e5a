"""Kernels on shorter vectors than this processor's, as other processors have them."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from onnx2snn.runtime.fused.build import compiler

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TESTS = ("test_fused.py", "test_program.py")
CHOSEN = "instruction or spans_silence or (a_program_does and residual_mlp)"


@pytest.mark.skipif(compiler() is None, reason="needs a C compiler")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="PyTorch knows one length here")
@pytest.mark.parametrize("capability", ["DEFAULT", "AVX2"])
def test_kernels_on_shorter_vectors(capability: str) -> None:
    own = torch.backends.cpu.get_cpu_capability()
    if own in (capability, "DEFAULT"):
        pytest.skip(f"this processor's own are {own}")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider"]
    command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT)]
    found = subprocess.run(
        [*command, *(str(HERE / name) for name in TESTS), "-k", CHOSEN],
        env={**os.environ, "ATEN_CPU_CAPABILITY": capability.lower()},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout[-2000:]
    assert " passed" in found.stdout
