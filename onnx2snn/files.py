"""Files written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from onnx2snn.ops.errors import UsageError

Fill = Callable[[IO[bytes]], object]


def check_output(path: Path, *, force: bool) -> None:
    """UsageError if `path` exists and `force` is not given, or its folder is missing."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file")
    if path.exists() and not force:
        raise UsageError(f"{path} exists; use --force to replace it")
    if not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"{path} cannot be written: no permission in {path.parent}")


def write(path: Path, fill: Fill, *, force: bool) -> None:
    """Write `path` through a temporary file beside it, renamed when complete."""
    write_together({path: fill}, force=force)


def write_together(fills: Mapping[Path, Fill], *, force: bool) -> None:
    """Write several files; none is replaced before all are complete."""
    for path in fills:
        check_output(path, force=force)
    temporaries: dict[Path, Path] = {}
    try:
        for path, fill in fills.items():
            with _reported(path):
                descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
                temporaries[path] = Path(name)
                with os.fdopen(descriptor, "wb") as stream:
                    fill(stream)
                temporaries[path].chmod(0o666 & ~_umask())
        for path, temporary in temporaries.items():
            with _reported(path):
                temporary.replace(path)
    finally:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
