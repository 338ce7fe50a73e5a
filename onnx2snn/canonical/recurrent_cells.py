"""One time step of RNN, GRU and LSTM in simpler operators.

a = x W + h R + b is split by gates; h = c = 0, left out, where there is no state yet:

    RNN   h' = f(a)
    GRU   z, r = f(a_zr)   n = g(x W_n + (r h) R_n + b_n)   or   g(x W_n + b_n + r (h R_n + b'))
          h' = n + z (h - n)
    LSTM  i, o, s = f(a_ios)   c' = s c + i g(a_c)   h' = o k(c')
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from onnx2snn.canonical.editor import Editor

State = tuple[gs.Tensor, ...]


@dataclass(frozen=True)
class Cell:
    """One direction of a recurrent node.

    functions: operators for f, g and k.
    weights:   R of a run of gates, by the first of them.
    behind:    b' where the reset gate acts behind the product, None where before.
    """

    editor: Editor
    width: int
    functions: tuple[str, ...]
    weights: Mapping[int, gs.Tensor]
    behind: gs.Tensor | None = None

    def gates(self, x: gs.Tensor, first: int, last: int) -> gs.Tensor:
        """The columns of gates `first` to `last`."""
        start = self.editor.integers(f"gate{first}", first * self.width)
        end = self.editor.integers(f"gate{last}", last * self.width)
        axis = self.editor.integers("last_axis", -1)
        return self.editor.add("Slice", x, start, end, axis)

    def current(self, inward: gs.Tensor, h: gs.Tensor | None, first: int = 0) -> gs.Tensor:
        """What enters gates: the part of x, and that of h where there is any."""
        if h is None:
            return inward
        return self.editor.add("Add", inward, self.editor.add("MatMul", h, self.weights[first]))


def _rnn(cell: Cell, inward: gs.Tensor, state: State) -> State:
    h = state[0] if state else None
    return (cell.editor.add(cell.functions[0], cell.current(inward, h)),)


def _gru(cell: Cell, inward: gs.Tensor, state: State) -> State:
    add, (f, g) = cell.editor.add, cell.functions
    h = state[0] if state else None
    gates = add(f, cell.current(cell.gates(inward, 0, 2), h))
    update, reset = (cell.gates(gates, i, i + 1) for i in range(2))
    new = cell.gates(inward, 2, 3)
    if cell.behind is not None:
        new = add("Add", new, add("Mul", reset, cell.current(cell.behind, h, 2)))
    elif h is not None:
        new = cell.current(new, add("Mul", reset, h), 2)
    new = add(g, new)
    if h is None:
        return (add("Sub", new, add("Mul", update, new)),)
    return (add("Add", new, add("Mul", update, add("Sub", h, new))),)


def _lstm(cell: Cell, inward: gs.Tensor, state: State) -> State:
    add, (f, g, k) = cell.editor.add, cell.functions
    h, c = state or (None, None)
    total = cell.current(inward, h)
    gates = add(f, cell.gates(total, 0, 3))
    enter, leave, stay = (cell.gates(gates, i, i + 1) for i in range(3))
    new = add("Mul", enter, add(g, cell.gates(total, 3, 4)))
    if c is not None:
        new = add("Add", add("Mul", stay, c), new)
    return add("Mul", leave, add(k, new)), new


@dataclass(frozen=True)
class Kind:
    """A recurrent operator: its gates, in runs by which its weights are read, and its step."""

    runs: tuple[int, ...]
    functions: tuple[str, ...]
    step: Callable[[Cell, gs.Tensor, State], State]


KINDS: Mapping[str, Kind] = {
    "RNN": Kind((0, 1), ("Tanh",), _rnn),
    "GRU": Kind((0, 2, 3), ("Sigmoid", "Tanh"), _gru),
    "LSTM": Kind((0, 4), ("Sigmoid", "Tanh", "Tanh"), _lstm),
}
