"""Keeps glibc from handing memory back between two time steps.

Every block frees and allocates the same few megabytes. glibc returns large areas to the
system at once, and the page faults of their return cost as much as the arithmetic. Its
thresholds are raised, for the whole process, unless the environment sets them.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache

RETAINED = 1 << 30
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


@cache
def retain_memory() -> bool:
    """Let the allocator keep up to `RETAINED` bytes of freed memory; whether it does."""
    if not sys.platform.startswith("linux") or any(name in os.environ for name in _VARIABLES):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, RETAINED) and mallopt(_TRIM_THRESHOLD, RETAINED))
