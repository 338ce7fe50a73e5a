"""CUDA graphs without a GPU: PyTorch's operators, recorded and done again on the same tensors.

As with a GPU's graphs, Python does not run a second time, results lie where they lay, what was
recorded has no results until it is replayed, and to ask for a number is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Work = Callable[[], None]
ASKING = ("_local_scalar_dense", "equal", "nonzero", "is_nonzero")


class Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, list[Tensor]]] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = function.overloadpacket.__name__
        if name in ASKING:
            raise RuntimeError(f"{name} asks for a number while work is recorded")
        result = function(*args, **(kwargs or {}))
        if "empty" not in name:
            self.calls.append((function, args, kwargs or {}, made(result, (args, kwargs))))
        return result


def tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def made(result: Any, arguments: Any) -> list[Tensor]:
    """Results with memory of their own: neither views of an argument nor written in place."""
    given = {memory(x) for x in tensors(arguments)}
    return [x for x in tensors(result) if memory(x) not in given]


def scribble(tensor: Tensor) -> None:
    if tensor.is_floating_point():
        tensor.fill_(torch.nan)
    elif tensor.dtype != torch.bool:
        tensor.fill_(77)


@contextmanager
def no_looking() -> Iterator[None]:
    """Numbers on a GPU can't be read by numpy; integers stay on the CPU in a session."""

    def refusing(read: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(self: Tensor, *args: Any, **kwargs: Any) -> Any:
            if self.is_floating_point() or self.dtype == torch.bool:
                raise RuntimeError("a tensor is read by the host while work is recorded")
            return read(self, *args, **kwargs)

        return guarded

    with pytest.MonkeyPatch.context() as patch:
        for name in ("numpy", "tolist"):
            patch.setattr(torch.Tensor, name, refusing(getattr(torch.Tensor, name)))
        yield


class EmulatedGraphs:
    """`runtime.recording.Graphs` on the CPU; counts what it does."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0

    def record(self, work: Work) -> Work:
        recorder = Recorder()
        with no_looking(), recorder:
            work()
        self.recorded += 1
        for *_, results in recorder.calls:
            for tensor in results:
                scribble(tensor)

        def replay() -> None:
            self.replayed += 1
            for function, args, kwargs, results in recorder.calls:
                again = made(function(*args, **kwargs), (args, kwargs))
                for old, new in zip(results, again, strict=True):
                    old.copy_(new)

        return replay
