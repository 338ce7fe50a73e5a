"""Instructions, their operands, and the memory that these lie in."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from onnx2snn.runtime.program.placing import aligned
from onnx2snn.runtime.program.sharing_source import OWN_PARTS
from onnx2snn.runtime.program.signal import Buffer, Signal, UnsupportedError


@dataclass(frozen=True)
class Place:
    """An address: of a buffer, `offset` numbers on, or of what is kept at `offset` bytes."""

    buffer: Buffer | None
    offset: int


@dataclass(frozen=True)
class Gate:
    """The address of the data of a call that enter here."""

    number: int


@dataclass(frozen=True)
class Wanted:
    """The address of a result; 0 where nobody reads it."""

    buffer: Buffer


Word = int | Place | Gate | Wanted


@dataclass(frozen=True)
class Instruction:
    """A kernel, its block of arguments, and where its spikes are counted, if it has any."""

    kernel: int
    words: tuple[Word, ...]
    spikes: Place | None = None

    @property
    def wanted(self) -> set[Buffer]:
        """Results that it writes where somebody reads them."""
        return {word.buffer for word in self.words if isinstance(word, Wanted)}

    @property
    def read(self) -> set[Buffer]:
        """What it reads, and results that it writes in any case."""
        places = (word.buffer for word in self.words if isinstance(word, Place))
        return {buffer for buffer in places if buffer is not None}

    def needed(self, unread: Set[Buffer]) -> bool:
        """Whether it does anything but write results that nobody reads."""
        return self.spikes is not None or not self.wanted or not self.wanted <= unread


@dataclass(frozen=True)
class Slot:
    """Memory that outlives a block: `size` numbers at `offset` bytes.

    name:  tensor of the plan whose value it holds, "" for none.
    shape: of that tensor.
    order: of its axes in memory.
    """

    offset: int
    size: int
    name: str = ""
    shape: tuple[int, ...] = ()
    order: tuple[int, ...] = ()

    @property
    def place(self) -> Place:
        """Its address."""
        return Place(None, self.offset)

    def of(self, memory: Tensor) -> Tensor:
        """The tensor, as a view of memory."""
        return memory.view(torch.float32).as_strided(self.shape, self.strides, self.offset // 4)

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """Of the tensor's axes, in numbers."""
        strides, within = dict[int, int](), 1
        for axis in reversed(self.order):
            strides[axis] = within
            within *= self.shape[axis]
        return tuple(strides[axis] for axis in range(len(self.shape)))


@dataclass
class Slots:
    """The memory of a simulation; the same for blocks of any length.

    The time and the number of spikes of each site, 8 bytes each, come first.

    values: of tensors that change over time, by name.
    """

    sites: int
    found: dict[tuple[str, str], Slot] = field(default_factory=dict)
    values: dict[str, Slot] = field(default_factory=dict)
    size: int = 0

    def __post_init__(self) -> None:
        self.size = aligned(self.counters)

    @property
    def counters(self) -> int:
        """Bytes of the time and the numbers of spikes."""
        return 8 * (1 + self.sites)

    @property
    def time(self) -> Place:
        """Where steps done are counted."""
        return Place(None, 0)

    def spikes(self, site: int) -> Place:
        """Where the spikes of a site are counted."""
        return Place(None, 8 * (1 + site))

    def value(self, name: str, shape: Sequence[int]) -> Slot:
        """The value of a tensor as the user sees it."""
        return self.slot("value", name, shape, range(len(shape)))

    def slot(
        self, use: str, name: str, shape: Sequence[int], order: Sequence[int], reader: str = ""
    ) -> Slot:
        """The value of a tensor, for one use of it."""
        key = (use + reader, name)
        if key not in self.found:
            size = torch.Size(shape).numel()
            self.found[key] = Slot(self.size, size, name, tuple(shape), tuple(order))
            self.size += aligned(4 * size)
            if not use.startswith("static"):
                self.values[name] = self.found[key]
        return self.found[key]


@dataclass
class Writer:
    """A program in the making.

    kernels:   addresses by name.
    constants: tensors whose addresses instructions hold.
    weights:   packed, by step; programs of other lengths share them.
    """

    steps: int
    threads: int
    kernels: dict[str, int]
    slots: Slots
    weights: dict[Hashable, Tensor]
    instructions: list[Instruction] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    constants: list[Tensor] = field(default_factory=list)

    @property
    def parts(self) -> int:
        """The most parts in which an instruction is done."""
        return OWN_PARTS * self.threads

    def new(self, view: Tensor) -> Signal:
        """A signal with memory of its own, for the next instruction to write."""
        if not view.numel():
            raise UnsupportedError("no numbers at all")
        return Signal(self.room(view.numel()), view)

    def room(self, size: int) -> Buffer:
        """Memory from the next instruction on."""
        here = len(self.instructions)
        self.buffers.append(Buffer(size, here, here))
        return self.buffers[-1]

    def constant(self, tensor: Tensor) -> int:
        """The address of a tensor that outlives the program."""
        self.constants.append(tensor)
        return tensor.data_ptr()

    def packed(self, key: Hashable, pack: Callable[[], Tensor]) -> int:
        """The address of weights, packed once; the key is the index of their step."""
        if key not in self.weights:
            self.weights[key] = pack()
        return self.constant(self.weights[key])

    def emit(self, kernel: str | int, *words: Word | Signal, spikes: Place | None = None) -> None:
        """Append an instruction; what it reads and writes lives at least until then."""
        here = len(self.instructions)
        code = self.kernels[kernel] if isinstance(kernel, str) else kernel
        known = [at(word) if isinstance(word, Signal) else word for word in words]
        for word in known:
            if isinstance(word, Place | Wanted) and word.buffer is not None:
                word.buffer.last = here
        self.instructions.append(Instruction(code, tuple(known), spikes))


@dataclass(frozen=True)
class Held:
    """A tensor that a simulation holds and that never changes, seen over a block like a signal."""

    place: Place
    view: Tensor


def at(signal: Signal | Held) -> Place:
    """The address of a signal's first number."""
    if isinstance(signal, Held):
        return signal.place
    return Place(signal.buffer, int(signal.view.storage_offset()))


def unread_by(instructions: Sequence[Instruction]) -> set[Buffer]:
    """Results that no needed instruction reads."""
    unread = set[Buffer]().union(*(instruction.wanted for instruction in instructions))
    for instruction in reversed(instructions):
        if instruction.needed(unread):
            unread -= instruction.read
    return unread
