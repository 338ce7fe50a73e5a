"""What matching must know of a node beyond its name: one rule where the forms differ.

A rule turns an ONNX node into one with the operands and attributes of the spiking operator, or
refuses it with the reason that the coverage report shows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from onnx2snn.ops.node import Node
from onnx2snn.ops.operator import INTEGRATING
from onnx2snn.ops.reduction import REDUCTIONS
from onnx2snn.runtime.graph import Graph

NONE, RESIDUAL, LINEAR, ALL = BYPASSES = ("none", "residual", "linear", "all")
# Either of the latter two, as `onnx2snn.bypass` finds the network small and deep or not.
BY_DEPTH = "by depth"
# Sites whose spikes may come together in one stream, since whoever reads it pays for all of them:
# enough to carry a residual stream.
FEW_TOGETHER = 3


@dataclass(frozen=True)
class Encoding:
    """How the network's input is encoded: "current" or "poisson", the latter from a seed."""

    coding: str
    seed: int = 0


@dataclass(frozen=True)
class Options:
    """What the caller asks of matching.

    layer_norm: "fused" or "decomposed"; of RMS and instance normalization as well.
    max_pool:   "tree", "fused" or "chain".
    exclude:    node names or operator types, shell patterns allowed, to leave analog.
    neurons:    attributes common to all spiking nodes (spikes, schedule).
    softmax:    "fused" or "decomposed".
    quantization: "exact" or "smooth".
    encoding:   of the network's input; None to present it as it is.
    relays:     whether neurons send the input where it joins spikes (`onnx2snn.relays`).
    bypass:     "none", "residual", "linear", "all" or "by depth" (`onnx2snn.bypass`).
    """

    layer_norm: str = "fused"
    max_pool: str = "fused"
    exclude: tuple[str, ...] = ()
    neurons: Mapping[str, str] | None = None
    softmax: str = "fused"
    quantization: str = "exact"
    encoding: Encoding | None = None
    relays: bool = False
    bypass: str = "linear"

    @property
    def integrating(self) -> bool:
        """Whether neurons integrate and fire."""
        return (self.neurons or {}).get("dynamics") in INTEGRATING


class RefusalError(Exception):
    """A node cannot become spiking; the message says why."""


Rule = Callable[[Node, Graph, Options], Node]


def _rank(node: Node, graph: Graph) -> int:
    shape = graph.shapes.get(node.inputs[0])
    if shape is None:
        raise RefusalError("the rank of its input is unknown")
    return len(shape)


def _row_wise(node: Node, graph: Graph, options: Options) -> Node:
    """Axis counted from the last."""
    axis = int(node.attributes.get("axis", -1))
    if axis >= 0:
        axis -= _rank(node, graph)
    return replace(node, attributes={**node.attributes, "axis": axis})


def _softmax(node: Node, graph: Graph, options: Options) -> Node:
    """Axis counted from the last."""
    node = _row_wise(node, graph, options)
    return replace(node, attributes={**node.attributes, "sites": options.softmax})


def _layer_normalization(node: Node, graph: Graph, options: Options) -> Node:
    """Axis counted from the last; one output only."""
    _only_output(node)
    node = _row_wise(node, graph, options)
    return replace(node, attributes={**node.attributes, "sites": options.layer_norm})


def _instance_normalization(node: Node, graph: Graph, options: Options) -> Node:
    """The first spatial axis counted from the last."""
    rank = _rank(node, graph)
    if rank < 3:
        raise RefusalError("its input has no spatial axes")
    attributes = {**node.attributes, "axis": 2 - rank, "sites": options.layer_norm}
    return replace(node, attributes=attributes)


def _max_pool(node: Node, graph: Graph, options: Options) -> Node:
    """Only the maxima, not their indices; no chain where the padding depends on the extent."""
    _only_output(node)
    attributes, sites = node.attributes, options.max_pool
    same = attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID")
    if sites == "chain" and (same or attributes.get("ceil_mode", 0)):
        sites = "tree"
    return replace(node, attributes={**attributes, "sites": sites})


def _global_max_pool(node: Node, graph: Graph, options: Options) -> Node:
    """The spatial extents become an attribute, since they decide the number of sites."""
    extents = list((graph.shapes.get(node.inputs[0]) or ())[2:])
    if not extents or not all(isinstance(d, int) for d in extents):
        raise RefusalError("its spatial extents are not fixed in the graph")
    return replace(node, attributes={"extents": extents, "sites": options.max_pool})


def _reduction(node: Node, graph: Graph, options: Options) -> Node:
    """The axes become an attribute, counted from the last; all of them where none is named."""
    named = node.inputs[1] if len(node.inputs) > 1 else ""
    if named and named not in graph.constants:
        raise RefusalError(f"its axes '{named}' are computed")
    axes = [int(axis) for axis in graph.constants[named].reshape(-1)] if named else []
    if not axes and node.attributes.get("noop_with_empty_axes", 0):
        raise RefusalError("it has no axes to reduce")
    if not axes or max(axes) >= 0:
        rank = _rank(node, graph)
        axes = [axis % rank - rank for axis in axes or range(rank)]
    keepdims = int(node.attributes.get("keepdims", 1))
    if not keepdims and len(axes) == _rank(node, graph):
        raise RefusalError("it leaves a single number for all samples")
    attributes = {"axes": sorted(axes), "keepdims": keepdims}
    return replace(node, inputs=node.inputs[:1], attributes=attributes)


def _mod(node: Node, graph: Graph, options: Options) -> Node:
    """Only the form for real numbers."""
    if not node.attributes.get("fmod", 0):
        raise RefusalError("without fmod = 1 it is one for integers")
    return node


def _only_output(node: Node) -> None:
    if any(node.outputs[1:]):
        raise RefusalError(f"its further output '{next(filter(None, node.outputs[1:]))}' is used")


RULES: Mapping[str, Rule] = {
    "GlobalMaxPool": _global_max_pool,
    "Hardmax": _row_wise,
    "InstanceNormalization": _instance_normalization,
    "LayerNormalization": _layer_normalization,
    "LogSoftmax": _row_wise,
    "LpNormalization": _row_wise,
    "MaxPool": _max_pool,
    "Mod": _mod,
    "RMSNormalization": _layer_normalization,
    "Softmax": _softmax,
    **{operator.source: _reduction for operator in REDUCTIONS},
}


def carries_signal(node: Node, data: Collection[str], varying: Collection[str]) -> bool:
    """Whether a node that has a spiking operator is one for neurons.

    x / y is none if y is constant, and linear if x alone changes over time.
    """
    if node.op_type != "Div":
        return any(name in data for name in node.inputs)
    x, y = node.inputs
    return y in varying or (y in data and x not in varying)
