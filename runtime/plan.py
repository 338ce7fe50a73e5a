"""The immutable plan: which steps run once, which at every time step, and what they need.

A tensor *varies* when a site lies upstream of it. Between sites only increments travel:
a linear step maps increments to increments, a site step turns them into spikes, and a
difference step (product or analog leftover) evaluates its node on the integrated values and
sends on what changed. Everything else is constant over time and runs once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from onnx2snn.ops import BY_OP_TYPE, DOMAIN
from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.lowering import Lowered, Site
from onnx2snn.ops.node import Node
from onnx2snn.ops.operator import INTEGRATING
from onnx2snn.runtime.graph import Graph
from onnx2snn.runtime.linear import LinearOperator, linear_operator


@dataclass(frozen=True)
class ConstantStep:
    """A node whose result does not change over time; `shape_only` if not even with the data."""

    node: Node
    operator: LinearOperator | None
    shape_only: bool
    role: str


@dataclass(frozen=True)
class LinearStep:
    """A node that is affine in the operands at positions `varying`."""

    node: Node
    operator: LinearOperator
    varying: frozenset[int]
    role: str = "linear"


@dataclass(frozen=True)
class DifferenceStep:
    """A node that is not affine in its varying operands: y(t) - y(t-1) is what it sends."""

    node: Node
    operator: LinearOperator | None
    varying: frozenset[int]
    role: str


@dataclass(frozen=True)
class SiteStep:
    """A site of the spiking node `source`.

    parameters: tensor names of scale, initial and step sizes; empty before calibration.
    """

    site: Site
    source: Node
    parameters: Mapping[str, str]

    @property
    def alphabet(self) -> str:
        """Name of the spike alphabet."""
        return str(self.source.attributes.get("spikes", "binary"))

    @property
    def dynamics(self) -> str:
        """Name of the neurons' dynamics."""
        return str(self.source.attributes.get("dynamics", "signgd"))

    @property
    def neuron(self) -> str:
        """Kind of neuron: one of `ops.neurons.SCANS`, "" for the signGD neuron."""
        if self.site.coding:
            return self.site.coding
        if self.dynamics in INTEGRATING:
            return "integrate"
        return "predicate" if self.site.target.fires and self.alphabet == "binary" else ""


Step = ConstantStep | LinearStep | DifferenceStep | SiteStep

LOOKUPS = frozenset({"Gather", "GatherElements", "GatherND"})
_MOVES = frozenset({"Expand", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose"})
_WITH_PLACES = frozenset({"MaxPool", "TopK"})
WEIGHTED = frozenset({"Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul"}) | LOOKUPS


def step_inputs(step: Step) -> tuple[str, ...]:
    """Names of the tensors a step reads, parameters of sites excluded."""
    names = step.site.operands if isinstance(step, SiteStep) else step.node.inputs
    return tuple(name for name in names if name)


def step_outputs(step: Step) -> tuple[str, ...]:
    """Names of the tensors a step writes."""
    names = (step.site.output,) if isinstance(step, SiteStep) else step.node.outputs
    return tuple(name for name in names if name)


@dataclass(frozen=True)
class Plan:
    """Steps in topological order and the bookkeeping that every run shares.

    constants:  arrays of the file and of lowering, by tensor name.
    varying:    tensors that change over time.
    integrated: varying tensors whose value, not only its increment, is needed.
    kept:       tensors that outlive the initial pass.
    last_use:   for every step, the tensors that no later step reads.
    """

    graph: Graph
    steps: tuple[Step, ...]
    constants: Mapping[str, NDArray[Any]]
    varying: frozenset[str]
    integrated: frozenset[str]
    kept: frozenset[str]
    last_use: tuple[tuple[str, ...], ...]

    @cached_property
    def sites(self) -> tuple[SiteStep, ...]:
        """All sites in order of execution."""
        return tuple(step for step in self.steps if isinstance(step, SiteStep))


@dataclass
class _Compiler:
    graph: Graph
    steps: list[Step] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    varying: set[str] = field(default_factory=set)
    data: set[str] = field(default_factory=set)
    discrete: set[str] = field(default_factory=set)
    counts: set[str] = field(default_factory=set)

    def add(self, node: Node) -> None:
        if node.domain != DOMAIN:
            self._add_node(node)
            return
        lowered, parameters = _lower(node)
        self.constants.update(lowered.constants)
        remaining = iter(parameters)
        for step in lowered.steps:
            if isinstance(step, Site):
                self._add_site(step, node, next(remaining, {}))
            else:
                self._add_node(step)

    def _add_site(self, site: Site, node: Node, parameters: Mapping[str, str]) -> None:
        self.steps.append(SiteStep(site, node, parameters))
        self.varying.add(site.output)
        self.data.add(site.output)

    def _positions(self, node: Node, names: set[str]) -> frozenset[int]:
        return frozenset(i for i, name in enumerate(node.inputs) if name in names)

    def _add_node(self, node: Node) -> None:
        operator = linear_operator(node, self.graph.opsets)
        varying = self._positions(node, self.varying)
        self.discrete.update(self._discrete_outputs(node))
        if not varying or node.op_type in ("Shape", "Size"):
            self._add_constant(node, operator)
            return
        self.varying.update(node.outputs)
        self.data.update(node.outputs)
        discrete = self.discrete.intersection((*node.outputs, *(node.inputs[i] for i in varying)))
        if operator and not discrete and operator.is_linear_in(varying):
            self.steps.append(LinearStep(node, operator, varying))
        else:
            role = "product" if operator and operator.is_product_of(varying) else "analog"
            self.steps.append(DifferenceStep(node, operator, varying, role))

    def _discrete_outputs(self, node: Node) -> Iterator[str]:
        """Results that hold integers or booleans; inference loses their types behind sites."""
        moved = node.op_type in _MOVES and node.inputs[0] in self.discrete
        for position, name in enumerate(node.outputs):
            places = position == 1 and node.op_type in _WITH_PLACES
            if moved or places or self.graph.is_discrete(name):
                yield name

    def _add_constant(self, node: Node, operator: LinearOperator | None) -> None:
        data = self._positions(node, self.data)
        if node.op_type in ("Shape", "Size"):
            data = frozenset()
        if data:
            self.data.update(node.outputs)
        self.steps.append(
            ConstantStep(node, operator, not data, self._constant_role(node, operator, data))
        )

    def _constant_role(
        self, node: Node, operator: LinearOperator | None, data: frozenset[int]
    ) -> str:
        if not data or all(o in self.discrete for o in node.outputs):
            return "shape"
        if all(node.inputs[i] in self.discrete | self.counts for i in data):
            if node.op_type not in WEIGHTED:
                self.counts.update(node.outputs)
            return "shape"
        if operator and operator.is_linear_in(data):
            return "linear"
        return "product" if operator and operator.is_product_of(data) else "analog"


def _lower(node: Node) -> tuple[Lowered, tuple[dict[str, str], ...]]:
    record = BY_OP_TYPE.get(node.op_type)
    if record is None:
        raise ModelError(f"node '{node.name}': unknown spiking operator '{node.op_type}'")
    try:
        parameters = record.parameters(node) if len(node.inputs) > len(record.operands) else ()
        return record.lower(node), parameters
    except ModelError as error:
        raise ModelError(f"node '{node.name}': {error}") from error


def _last_uses(steps: Sequence[Step]) -> tuple[tuple[str, ...], ...]:
    last: dict[str, int] = {}
    for i, step in enumerate(steps):
        for name in (*step_outputs(step), *step_inputs(step)):
            last[name] = i
    released: list[list[str]] = [[] for _ in steps]
    for name, i in last.items():
        released[i].append(name)
    return tuple(tuple(names) for names in released)


def compile_plan(graph: Graph) -> Plan:
    """The plan of a graph of standard and spiking nodes."""
    compiler = _Compiler(graph)
    compiler.data.update(info.name for info in graph.inputs)
    compiler.discrete.update(i.name for i in graph.inputs if graph.is_discrete(i.name))
    for node in graph.nodes:
        compiler.add(node)
    varying = frozenset(compiler.varying)
    outputs = frozenset(info.name for info in graph.outputs)
    integrated, static = set(outputs & varying), set(outputs - varying)
    for step in compiler.steps:
        names = step_inputs(step)
        if isinstance(step, SiteStep | DifferenceStep):
            integrated.update(varying.intersection(names))
        if not isinstance(step, ConstantStep):
            static.update(name for name in names if name not in varying)
        if isinstance(step, SiteStep):
            static.add(step.site.output)
        elif isinstance(step, DifferenceStep):
            integrated.update(step_outputs(step))
    kept = frozenset(integrated | static)
    return Plan(
        graph=graph,
        steps=tuple(compiler.steps),
        constants={**graph.constants, **compiler.constants},
        varying=varying,
        integrated=frozenset(integrated),
        kept=kept,
        last_use=_last_uses(compiler.steps),
    )
