"""Number formats: of states and weights, and of what synaptic operators multiply."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}
SYNAPTIC = frozenset({"Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul"})


@dataclass(frozen=True)
class Arithmetic:
    """A choice of formats.

    states:   of states, weights, thresholds and results.
    synapses: of the operands of synaptic operators on increments, None for that of the states;
              they accumulate in float32.
    tf32:     whether matrix units may round float32 operands to 10 bits of mantissa.
    """

    states: torch.dtype
    synapses: torch.dtype | None = None
    tf32: bool = False

    def applied(self) -> AbstractContextManager[None]:
        """PyTorch's global switches, as this choice needs them."""
        return _rounding() if self.tf32 else nullcontext()


@contextmanager
def _rounding() -> Iterator[None]:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


ARITHMETIC = {
    **{name: Arithmetic(dtype) for name, dtype in PRECISIONS.items()},
    "tf32": Arithmetic(torch.float32, tf32=True),
    "bf16": Arithmetic(torch.float32, synapses=torch.bfloat16),
}
