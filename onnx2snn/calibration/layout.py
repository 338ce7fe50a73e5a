"""Which axis of a tensor is its channel axis, followed through the graph."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from onnx2snn.ops.node import Node
from onnx2snn.runtime.plan import ConstantStep, SiteStep, Step

_CONVOLUTIONAL = frozenset(
    {"Conv", "ConvTranspose", "BatchNormalization", "AveragePool", "GlobalAveragePool"}
)
_PRODUCTS = frozenset({"MatMul", "Gemm", "Einsum"})
_RESHAPING = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"})
_FIRST_BROADCAST = 0x2460


@dataclass
class ChannelAxes:
    """Channel axis per tensor, counted from the last axis; tensors unknown are left out.

    The axis that a weight wrote (the outputs of a convolution or matrix product) is the one
    along which neurons differ most in range; operators without weights pass it on. A product
    of two signals has the channel axis of its right operand (attention's values), unless it
    sums over that axis: of the scores that are left only the heads are channels, since the
    other axes are as long as the sequence that is looked at.

    axes:    channel axis by tensor, None where all neurons share their parameters.
    guesses: channel axis by tensor behind a reshaping, the last if it was the last before;
             what is known of another operand goes first.
    scores:  tensors whose further axes must not be taken for channels.
    signals: tensors that depend on the data; all others are weights.
    """

    axes: dict[str, int | None] = field(default_factory=dict)
    guesses: dict[str, int] = field(default_factory=dict)
    scores: set[str] = field(default_factory=set)
    signals: set[str] = field(default_factory=set)

    def follow(self, step: Step, rank: int) -> None:
        """Record the channel axis of the step's results, which have `rank` axes."""
        if isinstance(step, SiteStep):
            self.signals.add(step.site.output)
            self._pass_on(step.site.operands, (step.site.output,))
            return
        if isinstance(step, ConstantStep) and step.shape_only:
            return
        node = step.node
        self.signals.update(node.outputs)
        if node.op_type in _CONVOLUTIONAL:
            self._set(node, 1 - rank)
        elif node.op_type in _PRODUCTS:
            self._multiply(node, rank, step.role == "product")
        elif node.op_type == "Transpose":
            self._transpose(node, rank)
        elif node.op_type in _RESHAPING:
            self._reshape(node)
        else:
            self._pass_on(node.inputs, node.outputs)

    def of(self, tensor: str, rank: int) -> int | None:
        """Channel axis of `tensor`, counted from the last; None if it has none."""
        if rank < 2:
            return None
        axis = self.axes.get(tensor, self.guesses.get(tensor, -1))
        if axis is None or axis > -rank:
            return axis
        return None if tensor in self.scores else -1

    def _set(self, node: Node, axis: int | None) -> None:
        self.axes[node.outputs[0]] = axis

    def _pass_on(self, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        known = next((name for name in inputs if name in self.axes), None)
        guessed = next((name for name in inputs if name in self.guesses), None)
        if known is not None:
            self.axes.update(dict.fromkeys(outputs, self.axes[known]))
        elif guessed is not None:
            self.guesses.update(dict.fromkeys(outputs, self.guesses[guessed]))
        if not self.scores.isdisjoint(inputs):
            self.scores.update(outputs)

    def _transpose(self, node: Node, rank: int) -> None:
        source, result = node.inputs[0], node.outputs[0]
        order = list(node.attributes.get("perm") or range(rank)[::-1])
        if source in self.scores:
            self.scores.add(result)
        if source in self.guesses:
            self.guesses[result] = order.index(self.guesses[source] + rank) - rank
        if source in self.axes:
            axis = self.of(source, rank)
            self._set(node, None if axis is None else order.index(axis + rank) - rank)

    def _reshape(self, node: Node) -> None:
        source, result = node.inputs[0], node.outputs[0]
        if source in self.scores:
            self.scores.add(result)
            self._set(node, None)
        elif self.axes.get(source, self.guesses.get(source)) == -1:
            self.guesses[result] = -1

    def _multiply(self, node: Node, rank: int, product: bool) -> None:
        terms = _terms(node, rank)
        first, second = (name in self.signals for name in node.inputs[:2])
        if terms is None:
            self._set(node, None)
        elif product or (first and second):
            self._multiply_signals(node, *terms)
        else:
            left, right, result = terms
            weight, signal = (left, right) if second else (right, left)
            written = [label for label in result if label in weight and label not in signal]
            if written:
                self._set(node, result.index(written[-1]) - len(result))
            else:
                self._pass_on(node.inputs, node.outputs)

    def _multiply_signals(self, node: Node, left: str, right: str, result: str) -> None:
        axis = self.axes.get(node.inputs[1], self.guesses.get(node.inputs[1]))
        channel = right[axis] if axis is not None and axis >= -len(right) else None
        if channel is not None and channel in result:
            self._set(node, result.index(channel) - len(result))
            return
        self.scores.add(node.outputs[0])
        heads = [label for label in result[1:] if label in left and label in right]
        self._set(node, result.index(heads[-1]) - len(result) if heads else None)


def _terms(node: Node, rank: int) -> tuple[str, str, str] | None:
    """Labels of the axes of both factors and of the result, which has `rank` axes.

    None where the equation has another number of factors or leaves the result implicit.
    """
    left = "ji" if node.attributes.get("transA", 0) else "ij"
    right = "kj" if node.attributes.get("transB", 0) else "jk"
    equation = {
        "MatMul": "...ij,...jk->...ik",
        "Gemm": f"{left},{right}->ik",
        "Einsum": str(node.attributes.get("equation", "")).replace(" ", ""),
    }[node.op_type]
    parts = re.fullmatch(r"([^,]*),([^,]*)->([^,]*)", equation)
    if parts is None:
        return None
    broadcast = range(rank - len(parts[3].replace("...", "")))
    labels = "".join(chr(_FIRST_BROADCAST + axis) for axis in broadcast)
    factor, other, result = (part.replace("...", labels) for part in parts.groups())
    return factor, other, result
