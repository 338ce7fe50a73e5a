"""Which class an output names."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def predicted(output: NDArray[Any]) -> NDArray[Any]:
    """Class per sample: argmax over the last axis (the sign for a single value)."""
    if output.ndim == 0:
        return np.reshape(output > 0, (1,))
    if output.ndim == 1 or output.shape[-1] == 1:
        return np.asarray(output.reshape(output.shape[0], -1)[:, 0] > 0)
    return np.asarray(output.argmax(-1))
