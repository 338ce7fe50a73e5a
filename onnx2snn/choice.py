"""Where(condition, a, b) whose condition compares signals: nodes that neurons can compute.

    Where(x < y, a, b)          WhereLess(x, y, a, b), and likewise for the other comparisons
    Where(Not(c), a, b)         Where(c, b, a)
    Where(And(c, d), a, b)      Where(c, Where(d, a, b), b)
    Where(Or(c, d), a, b)       Where(c, a, Where(d, a, b))

Conditions that do not change over time, masks, remain those of an ordinary Where.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from onnx2snn.ops.node import Node
from onnx2snn.runtime.graph import Graph

_COMPARISONS = {
    "Less": ("WhereLess", False),
    "LessOrEqual": ("WhereLessOrEqual", False),
    "Greater": ("WhereLess", True),
    "GreaterOrEqual": ("WhereLessOrEqual", True),
}
"""The choice each comparison makes, and whether its operands change places for it."""
LOGIC = frozenset({*_COMPARISONS, "Not", "And", "Or"})
UNCHOSEN = (
    "its condition changes over time and is not made of <, <=, > and >= between real numbers, "
    "or an alternative is out of the reach of neurons"
)
_MOST_LEAVES = 8
_FAR = 1e4


@dataclass(frozen=True)
class _Chooser:
    """What it takes to turn one Where into choices.

    writer:  the node that writes a tensor.
    varying: tensors that have neurons upstream.
    root:    the Where.
    """

    graph: Graph
    writer: Mapping[str, Node]
    varying: Collection[str]
    root: Node

    def leaves(self, condition: str) -> list[str] | None:
        """The comparisons and masks a condition is made of; None if anything else is in it."""
        if condition not in self.varying:
            return [condition]
        node = self.writer.get(condition)
        if node is None or node.domain or node.op_type not in LOGIC:
            return None
        if node.op_type in _COMPARISONS:
            real = not any(map(self.graph.is_discrete, node.inputs))
            return [condition] if real else None
        parts = [self.leaves(name) for name in node.inputs]
        return None if None in parts else [leaf for part in parts if part for leaf in part]

    def masked(self, condition: str) -> bool:
        return any(leaf not in self.varying for leaf in self.leaves(condition) or ())

    def nodes(self, condition: str, a: str, b: str, output: str) -> Iterator[Node]:
        """Nodes that write `a` where the condition holds, else `b`, to `output`."""
        node = self.writer.get(condition)
        if condition not in self.varying or node is None:
            yield replace(self.root, inputs=(condition, a, b), outputs=(output,))
        elif node.op_type == "Not":
            yield from self.nodes(node.inputs[0], b, a, output)
        elif node.op_type in _COMPARISONS:
            kind, swapped = _COMPARISONS[node.op_type]
            compared = node.inputs[::-1] if swapped else node.inputs
            inputs = (*compared, a, b)
            yield replace(self.root, op_type=kind, inputs=inputs, outputs=(output,))
        else:
            # Masks last: what a further comparison reads must come from a site.
            outer, inner = sorted(node.inputs, key=self.masked, reverse=True)
            between = f"{output}/{node.op_type.lower()}"
            yield from self.nodes(inner, a, b, between)
            if node.op_type == "And":
                yield from self.nodes(outer, between, b, output)
            else:
                yield from self.nodes(outer, a, between, output)

    def is_possible(self) -> bool:
        condition = self.root.inputs[0]
        leaves = self.leaves(condition)
        return leaves is not None and len(leaves) <= _MOST_LEAVES and not self._masks_apart()

    def _masks_apart(self) -> bool:
        """Whether two branches of one And or Or hold masks: then one of them is not last."""
        front = [self.root.inputs[0]]
        while front:
            node = self.writer.get(front.pop())
            if node is None or node.outputs[0] not in self.varying or node.op_type in _COMPARISONS:
                continue
            if sum(map(self.masked, node.inputs)) > 1:
                return True
            front.extend(node.inputs)
        return False


def choices(
    node: Node, graph: Graph, writer: Mapping[str, Node], varying: Collection[str]
) -> list[Node]:
    """The nodes that a Where becomes; itself where its condition is no comparison of signals."""
    if node.op_type != "Where" or node.domain or node.inputs[0] not in varying:
        return [node]
    if graph.is_discrete(node.outputs[0]) or any(_is_far(name, graph) for name in node.inputs[1:]):
        return [node]
    chooser = _Chooser(graph, writer, varying, node)
    if not chooser.is_possible():
        return [node]
    condition, a, b = node.inputs
    return list(chooser.nodes(condition, a, b, node.outputs[0]))


def _is_far(name: str, graph: Graph) -> bool:
    """Whether a stored tensor holds what no neuron can reach: a mask's -1e9 or infinity."""
    stored = graph.constants.get(name)
    return stored is not None and not bool((np.abs(stored) < _FAR).all())


def without_idle(nodes: Iterable[Node], graph: Graph) -> list[Node]:
    """The nodes without comparisons and logic that nothing reads any more."""
    kept = list(nodes)
    outputs = {info.name for info in graph.outputs}
    while True:
        read = Counter(name for node in kept for name in node.inputs)
        busy = [
            node
            for node in kept
            if node.op_type not in LOGIC
            or any(read[name] or name in outputs for name in node.outputs)
        ]
        if len(busy) == len(kept):
            return busy
        kept = busy
