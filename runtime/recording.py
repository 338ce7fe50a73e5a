"""Time loops recorded as graphs of kernels, which a GPU runs again without the host.

What Python does in a simulation is the same for all inputs of the same shapes: which kernels, in
which order, on which memory. A recording keeps that. Only the pass at t = 0 stays outside of it: it
alone sees the data.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Lock
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from onnx2snn.ops.errors import Onnx2SnnError
from onnx2snn.runtime.binding import Binding, rebound
from onnx2snn.runtime.execute import Executor
from onnx2snn.runtime.plan import LinearStep
from onnx2snn.runtime.start import Opening
from onnx2snn.runtime.state import State

Work = Callable[[], None]
Advance = Callable[[State, int], None]


class Graphs(Protocol):
    """Records work on a device; what is recorded runs after what was recorded before it."""

    def record(self, work: Work) -> Work:
        """A call that does `work` again on the same memory; RuntimeError if none can be made."""


class CudaGraphs:
    """CUDA graphs, one after the other in one pool of memory."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, work: Work) -> Work:
        """Other threads may use the GPU meanwhile; to wait for it here is an error."""
        graph = torch.cuda.CUDAGraph()
        with (
            torch.cuda.device(self._device),
            torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"),
        ):
            work()
        return graph.replay


class _Borrowed(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps the tensors that recorded kernels read and that were there before them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[int, Tensor] = {}
        self._made: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        for address, tensor in _tensors((args, kwargs)):
            if address not in self._made:
                self.kept.setdefault(address, tensor)
        result = function(*args, **(kwargs or {}))
        self._made.update(address for address, _ in _tensors(result) if address not in self.kept)
        return result


def _tensors(tree: Any) -> Iterator[tuple[int, Tensor]]:
    """Tensors, and where their memory is."""
    for leaf in tree_leaves(tree):
        if isinstance(leaf, Tensor):
            yield leaf.untyped_storage().data_ptr(), leaf


@dataclass(frozen=True)
class Recording:
    """Simulations of inputs of some shapes, up to some points.

    opening: what all of them share at t = 0.
    first:   the bindings of the one that was recorded.
    start:   what a state holds at t = 0 that comes with the data, where recorded work reads it.
    factors: constants that come with the data, likewise, by step and operand.
    points:  what to do up to each point, and the state there, valid until the next one.
    held:    whatever recorded work reads besides.
    """

    opening: Opening
    first: Mapping[int, Binding]
    start: Mapping[str, Tensor]
    factors: Mapping[tuple[int, int], Tensor]
    points: Sequence[tuple[Work, State]]
    held: object

    def fits(self, begun: State) -> bool:
        """Whether the simulation that begins so does the same with its data."""
        bindings = ((binding, begun.bindings[index]) for index, binding in self.first.items())
        return all(
            one is other or (one.shapes, one.transparent) == (other.shapes, other.transparent)
            for one, other in bindings
        ) and all(
            kept.shape == now.shape and (_is_data(now) or torch.equal(kept, now))
            for kept, now in self._data(begun)
        )

    def begin(self, begun: State) -> None:
        """Take over a state at t = 0 that fits; its points are reached in turn."""
        for kept, now in self._data(begun):
            kept.copy_(now)

    def _data(self, begun: State) -> Iterator[tuple[Tensor, Tensor]]:
        """Where recorded work reads what comes with the data, and what that is now."""
        for name, kept in self.start.items():
            yield kept, begun.values[name]
        for (index, position), kept in self.factors.items():
            now = begun.bindings[index].constants[position]
            assert now is not None
            yield kept, now


def _is_data(tensor: Tensor) -> bool:
    """Whether a tensor lies on the session's device; integers, read by the host, do not."""
    return tensor.is_floating_point() or tensor.dtype == torch.bool


def record(
    executor: Executor,
    graphs: Graphs,
    begun: State,
    opening: Opening,
    at: Sequence[int],
    names: Sequence[str],
    advance: Advance,
) -> Recording:
    """Record what follows the state `begun`, which is left as it is.

    at:      points: time steps in ascending order, after which the tensors named are shown.
    advance: carries a state to a time step.
    """
    start = {
        name: value.clone()
        for name, value in begun.values.items()
        if opening.values.get(name) is not value
    }
    factors = {
        (index, position): x.clone()
        for index, binding in begun.bindings.items()
        for position, x in enumerate(binding.constants)
        if x is not None and x is not opening.bindings[index].constants[position]
    }
    state = replace(
        begun,
        values={**begun.values, **start},
        bindings=dict(begun.bindings),
        spikes=dict(begun.spikes),
        owned=set(begun.owned),
        spread=dict(begun.spread),
    )
    borrowed, points = _Borrowed(), list[tuple[Work, State]]()
    for end in at:

        def work(end: int = end) -> None:
            with borrowed:
                if state.time == begun.time:
                    _bind(executor, state, factors)
                advance(state, end)

        again = graphs.record(work)
        shown = {name: state.values[name] for name in names if name in state.values}
        points.append((again, replace(state, values=shown, spikes=dict(state.spikes))))
    layouts = () if executor.fused is None else tuple(executor.fused.layouts.values())
    held = (borrowed.kept, layouts, state.bindings)
    return Recording(opening, begun.bindings, start, factors, points, held)


def _bind(executor: Executor, state: State, factors: Mapping[tuple[int, int], Tensor]) -> None:
    """Bind steps to constants that come with the data: what a binding makes of them is work too."""
    for index in {index for index, _ in factors}:
        known, step = state.bindings[index], executor.plan.steps[index]
        assert isinstance(step, LinearStep)
        constants = [factors.get((index, i), x) for i, x in enumerate(known.constants)]
        state.bindings[index] = rebound(step, known, constants)


@dataclass
class Recordings:
    """Of a session: that of the simulations which last came twice in a row.

    graphs: makes what records; a new one for each recording.
    seen:   the kind of the last simulation that ran to its end unrecorded.
    busy:   held by the caller who replays or records; others do neither.
    """

    graphs: Callable[[], Graphs]
    seen: Hashable = None
    known: dict[Hashable, Recording | None] = field(default_factory=dict)
    busy: Lock = field(default_factory=Lock)

    def take(
        self,
        kind: Hashable,
        begun: State,
        opening: Opening,
        make: Callable[[Graphs], Recording],
    ) -> Recording | None:
        """The recording of simulations that begin so; the caller must `free` it.

        None for the first of its kind, since what is recorded must have run before (its kernels
        are compiled then), where none can be made, and while another caller has it.
        """
        possible = self.known[kind] is not None if kind in self.known else kind == self.seen
        if not possible or not self.busy.acquire(blocking=False):
            return None
        found = self._found(kind, begun, opening, make)
        if found is None:
            self.busy.release()
        return found

    def _found(
        self,
        kind: Hashable,
        begun: State,
        opening: Opening,
        make: Callable[[Graphs], Recording],
    ) -> Recording | None:
        found = self.known.get(kind)
        if found is None or found.opening is not opening:
            self.known = {}
            try:
                found = make(self.graphs())
            except (RuntimeError, Onnx2SnnError):
                found = None
        elif not found.fits(begun):
            found = None
        self.known = {kind: found}
        return found

    def free(self) -> None:
        """Nobody reads the last point any more."""
        self.busy.release()


def recordings_on(device: torch.device) -> Recordings | None:
    """Where time loops of a device are recorded; None where it has no graphs."""
    return Recordings(partial(CudaGraphs, device)) if device.type == "cuda" else None
