"""Coverage: what became of every node of a graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import onnx

from onnx2snn.ops import BY_OP_TYPE, DOMAIN
from onnx2snn.ops.node import Node
from onnx2snn.readout import readouts
from onnx2snn.runtime.plan import Plan, SiteStep

_RECURRENT = ("RNN", "GRU", "LSTM")
ROLES = ("spiking", "linear", "product", "shape", "readout", "analog")


@dataclass(frozen=True)
class NodeReport:
    """Role of one node; `reason` says why an analog one is not spiking."""

    name: str
    op_type: str
    role: str
    reason: str = ""


@dataclass(frozen=True)
class Coverage:
    """Role of every node, in graph order."""

    nodes: tuple[NodeReport, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Number of nodes per role."""
        counter = Counter(node.role for node in self.nodes)
        return {role: counter[role] for role in ROLES}

    @property
    def analog(self) -> tuple[NodeReport, ...]:
        """The nodes left analog."""
        return tuple(node for node in self.nodes if node.role == "analog")

    def by_op_type(self) -> dict[str, dict[str, int]]:
        """Number of nodes per operator type and role."""
        table: dict[str, dict[str, int]] = {}
        for node in self.nodes:
            row = table.setdefault(node.op_type, dict.fromkeys(ROLES, 0))
            row[node.role] += 1
        return table

    def to_json(self) -> dict[str, Any]:
        """The form of `inspect --json`."""
        return {"coverage": self.counts, "nodes": [asdict(node) for node in self.nodes]}


def _has_subgraph(node: Node) -> bool:
    return any(isinstance(value, onnx.GraphProto) for value in node.attributes.values())


def _reason(node: Node, plan: Plan, refusals: Mapping[str, str]) -> str:
    if node.name in refusals:
        return refusals[node.name]
    if _has_subgraph(node):
        return "control flow that depends on data; what is inside has no neurons"
    if node.op_type in _RECURRENT:
        return "recurrent, over an open number of steps, too many, or with options left alone"
    if any(plan.graph.is_discrete(name) for name in node.outputs):
        return "its result is not a floating-point signal; it is computed from decoded values"
    return f"no spiking operator for {node.domain + '.' if node.domain else ''}{node.op_type}"


def coverage(plan: Plan, refusals: Mapping[str, str], merged: Iterable[str] = ()) -> Coverage:
    """Coverage of the graph a plan was compiled from.

    merged: Relu nodes that others have taken over.
    """
    roles = {id(step.node): step.role for step in plan.steps if not isinstance(step, SiteStep)}
    final = readouts(plan)
    reports = []
    for node in plan.graph.nodes:
        if node.domain == DOMAIN:
            source = BY_OP_TYPE[node.op_type].source
            current = node.attributes.get("coding") == "current"
            reports.append(NodeReport(node.name, source, "linear" if current else "spiking"))
            continue
        role = "readout" if id(node) in final else roles[id(node)]
        if _has_subgraph(node):
            role = "analog"
        reason = _reason(node, plan, refusals) if role == "analog" else ""
        reports.append(NodeReport(node.name, node.op_type, role, reason))
    reports.extend(NodeReport(name, "Relu", "spiking") for name in merged)
    return Coverage(tuple(reports))
