"""Cones: the elementwise nodes between one tensor x and one result f(x)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.elementwise import ELEMENTWISE, is_elementwise
from onnx2snn.canonical.graph import Array, is_constant, is_output, producer, rank, scalar

_LIMIT = 24


@dataclass(frozen=True)
class Cone:
    """Nodes in order of evaluation, the last of which writes f(x); constants are scalars."""

    source: gs.Tensor
    nodes: tuple[gs.Node, ...]

    @property
    def root(self) -> gs.Node:
        """The node that writes the result."""
        return self.nodes[-1]

    def constants(self) -> list[float]:
        """Every stored number the cone reads: where f may have a kink."""
        found = (scalar(tensor) for node in self.nodes for tensor in node.inputs)
        return [value for value in found if value is not None]

    def __call__(self, x: Array) -> Array:
        """f(x) in the precision of `x`."""
        known: dict[str, Array] = {self.source.name: x}
        with np.errstate(all="ignore"):
            for node in self.nodes:
                operands = [_value(tensor, known) for tensor in node.inputs]
                result = ELEMENTWISE[node.op](operands, node.attrs)
                known[node.outputs[0].name] = np.asarray(result)
        return np.broadcast_to(known[self.root.outputs[0].name], x.shape)


def cones_below(graph: gs.Graph, root: gs.Node) -> Iterator[Cone]:
    """Every cone that ends at `root`, the largest first."""
    candidates = _tensors_above(root)
    for source in reversed(candidates):
        cone = _cone(graph, root, source)
        if cone is not None:
            yield cone


def _value(tensor: gs.Tensor, known: dict[str, Array]) -> Array | None:
    if tensor.is_empty():
        return None
    if tensor.name in known:
        return known[tensor.name]
    return np.asarray(tensor.values.reshape(-1)[0]).astype(
        bool if tensor.values.dtype == bool else np.float64
    )


def _tensors_above(root: gs.Node) -> list[gs.Tensor]:
    """The computed tensors `root` depends on through elementwise nodes, nearest first."""
    found: dict[str, gs.Tensor] = {}
    front = [root]
    while front and len(found) < _LIMIT:
        node = front.pop(0)
        for tensor in node.inputs:
            if tensor.is_empty() or is_constant(tensor) or tensor.name in found:
                continue
            found[tensor.name] = tensor
            above = producer(tensor)
            if above is not None and is_elementwise(above):
                front.append(above)
    return list(found.values())


def _cone(graph: gs.Graph, root: gs.Node, source: gs.Tensor) -> Cone | None:
    """The nodes between `source` and `root`, None if anything else enters or leaves."""
    nodes = _between(root, source)
    if nodes is None:
        return None
    inside = {id(node) for node in nodes}
    for node in nodes[:-1]:
        result = node.outputs[0]
        readers = {id(reader) for reader in result.outputs}
        if is_output(graph, result) or not readers <= inside:
            return None
    constants = [t for node in nodes for t in node.inputs if is_constant(t)]
    fits = all(_is_scalar_beside(tensor, source) for tensor in constants)
    return Cone(source, tuple(nodes)) if fits else None


def _between(root: gs.Node, source: gs.Tensor) -> list[gs.Node] | None:
    ordered: list[gs.Node] = []
    done: set[int] = set()

    def visit(node: gs.Node) -> bool:
        if id(node) in done:
            return True
        done.add(id(node))
        if not is_elementwise(node) or len(done) > _LIMIT:
            return False
        for tensor in node.inputs:
            if tensor is source or tensor.is_empty() or is_constant(tensor):
                continue
            above = producer(tensor)
            if above is None or not visit(above):
                return False
        ordered.append(node)
        return True

    return ordered if visit(root) else None


def _is_scalar_beside(tensor: gs.Tensor, source: gs.Tensor) -> bool:
    """One number, of a rank that does not raise that of x."""
    axes = rank(source)
    return bool(prod(tensor.shape) == 1 and len(tensor.shape) <= (1 if axes is None else axes))
