"""A Triton kernel as a Python function on tensors; the interface of `kernel.SiteKernel`."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from onnx2snn.ops.target import Target
from onnx2snn.runtime.fused.build import cache_folder, written
from onnx2snn.runtime.fused.expression import trace
from onnx2snn.runtime.fused.kernel import Charge
from onnx2snn.runtime.fused.triton_source import triton_source

BLOCK = 512


@dataclass(frozen=True)
class TritonKernel:
    """Charge, fire and update over the steps of a block, state in registers.

    A program of the kernel runs so many neurons, or rows of about as many together.
    """

    function: Any

    def __call__(
        self,
        charges: Sequence[Charge],
        estimates: Tensor,
        step_sizes: Tensor,
        thresholds: Tensor,
        part: tuple[int, int],
        increments: Tensor,
    ) -> Tensor:
        """As `SiteKernel`; the number of spikes stays on the device."""
        moving = [c for c in charges if c.changes is not None]
        begin = min((part[0], *(c.start for c in moving)))
        end = max((part[1], *(c.stop for c in moving)))
        n, spikes = estimates.numel(), torch.zeros((), dtype=torch.int64, device=estimates.device)
        operands = [argument for charge in charges for argument in _arguments(charge)]
        row = charges[0].row
        if row is None:
            sizes, programs = {"BLOCK": BLOCK}, (n + BLOCK - 1) // BLOCK
        else:
            width = 1 << (row.length - 1).bit_length()
            rows = max(1, BLOCK // width)
            sizes = {"ROWS": rows, "WIDTH": width}
            programs = (n // row.length + rows - 1) // rows
        self.function[(programs,)](
            *operands,
            *(estimates, step_sizes, thresholds, step_sizes.shape[1], thresholds.shape[1]),
            *(increments, spikes),
            *(n, begin, end, *part),
            **sizes,
        )
        return spikes


def _arguments(charge: Charge) -> list[Any]:
    changes = charge.current if charge.changes is None else charge.changes
    reading, span = charge.reading, (charge.start, charge.stop)
    if reading is not None:
        windows = (reading.places.shape[1], reading.inside, reading.run)
        return [charge.current, changes, charge.current.numel(), *span, reading.places, *windows]
    result = torch.empty_like(charge.current) if charge.result is None else charge.result
    if charge.row is not None:
        return [charge.current, changes, result, *span, charge.row.length]
    return [charge.current, changes, result, charge.rows, *span]


def triton_kernel(target: Target, alphabet: str) -> TritonKernel | None:
    """The kernel of a site, None where none can be made: eager code takes over."""
    expression = trace(target.over_members)
    if expression is None or importlib.util.find_spec("triton") is None:
        return None
    return _compiled(triton_source(expression, alphabet, target.windowed or target.rowwise))


@cache
def _compiled(source: str) -> TritonKernel | None:
    try:
        name = f"onnx2snn_{hashlib.sha256(source.encode()).hexdigest()[:24]}"
        # Triton reads the source of a kernel from its file.
        path = written(cache_folder() / f"{name}.py", source)
        return TritonKernel(_module(name, path).site)
    except (OSError, ImportError, SyntaxError):
        return None


def _module(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(str(path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
