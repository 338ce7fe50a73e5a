"""Compiles C source into a shared library, kept in the user's cache."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch

COMPILERS = ("cc", "gcc", "clang")
FLAGS = (
    "-O3",
    "-march=native",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
    "-fPIC",
    "-std=gnu11",
)
SECONDS = 60


def cache_folder() -> Path:
    """Where libraries are kept: a folder that only the user can write to."""
    named = os.environ.get("ONNX2SNN_CACHE")
    base = Path(named) if named else Path.home() / ".cache" / "onnx2snn"
    base.mkdir(parents=True, exist_ok=True, mode=0o700)
    return base


def written(path: Path, text: str) -> Path:
    """`path`, holding `text`: written whole under another name and moved there."""
    if not path.exists() or path.read_text() != text:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as stream:
            stream.write(text)
        Path(stream.name).replace(path)
    return path


@cache
def compiler() -> str | None:
    """The C compiler: $CC, or the first of the usual names that is installed."""
    named = os.environ.get("CC", "").split()[:1]
    found = (shutil.which(name) for name in (*named, *COMPILERS))
    return next((path for path in found if path), None)


@cache
def _openmp() -> tuple[str, ...]:
    """PyTorch's own OpenMP runtime: two of them in a process would compete for the cores."""
    libraries = sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*"))
    beside = Path(torch.__file__).parent.parent / "torch.libs"
    libraries += sorted(beside.glob("libgomp*.so*"))
    return (str(libraries[0]),) if libraries else ()


@cache
def _identity() -> str:
    """What a library depends on besides its source."""
    try:
        text = Path("/proc/cpuinfo").read_text()
        flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    except OSError:
        flags = platform.processor()
    return "|".join((str(compiler()), platform.machine(), flags, *FLAGS, *_openmp()))


@cache
def build(source: str) -> ctypes.CDLL | None:
    """The library of `source`; None where there is no compiler or it fails."""
    if compiler() is None:
        return None
    key = hashlib.sha256(f"{_identity()}\n{source}".encode()).hexdigest()[:32]
    try:
        library = cache_folder() / f"{key}.so"
        if not library.exists():
            _compile(source, library)
        return ctypes.CDLL(str(library))
    except (OSError, subprocess.SubprocessError):
        return None


def _compile(source: str, library: Path) -> None:
    """Write the library under a temporary name, then move it: others may build it too."""
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        code, thing = Path(folder) / "kernel.c", Path(folder) / "kernel.o"
        result = Path(folder) / "kernel.so"
        code.write_text(source)
        openmp = ("-fopenmp",) if _openmp() else ()
        command = [str(compiler()), *FLAGS, *openmp, "-c", str(code), "-o", str(thing)]
        subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)
        link = [str(compiler()), "-shared", str(thing), *_openmp(), "-lm", "-o", str(result)]
        subprocess.run(link, check=True, capture_output=True, timeout=SECONDS)
        result.replace(library)
