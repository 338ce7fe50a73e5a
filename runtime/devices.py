"""Where a session runs."""

from __future__ import annotations

import torch

from onnx2snn.ops.errors import UsageError

# For which there are compiled kernels.
KERNELS = ("cpu", "cuda")


def choose_device(name: str) -> torch.device:
    """The torch device for "auto", "cpu" or "cuda"."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError("device 'cuda' was asked for, but PyTorch finds no GPU; use --device cpu")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"device '{name}' is not known; use auto, cpu or cuda") from error
