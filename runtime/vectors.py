"""Vectors of float32 that this processor computes with at once."""

from __future__ import annotations

from typing import Final

import torch

_LANES = {"AVX512": 16, "AVX2": 8}

# Numbers in a vector: compilers take longer ones than the machine's apart, and badly.
LANES: Final = _LANES.get(torch.backends.cpu.get_cpu_capability(), 4)
