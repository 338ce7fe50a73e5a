"""Leaves out what no output depends on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from onnx import NodeProto

from onnx2snn.export.step import StateNames
from onnx2snn.runtime.loading.wiring import read_names


def live_nodes(nodes: Sequence[NodeProto], wanted: Iterable[str]) -> list[NodeProto]:
    """Those of `nodes`, in order, on which the results `wanted` depend."""
    needed, kept = set(wanted), []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(read_names(node))
    return kept[::-1]


def live_states(
    nodes: Sequence[NodeProto], states: Mapping[str, StateNames], wanted: Iterable[str]
) -> list[StateNames]:
    """The states that are read on the way to `wanted`, at this step or a later one."""
    before = {state.before: state for state in states.values()}
    roots, found = set(wanted), set[str]()
    while True:
        roots.update(before[name].after for name in found)
        read = {name for node in live_nodes(nodes, roots) for name in read_names(node)}
        more = read & before.keys()
        if more <= found:
            return [state for state in states.values() if state.before in found]
        found |= more


def free_names(nodes: Iterable[NodeProto], made: Iterable[str] = ()) -> list[str]:
    """Tensors that `nodes` read but neither they nor anything in `made` provides, in order."""
    known, free = {"", *made}, {}
    for node in nodes:
        free.update(dict.fromkeys(name for name in read_names(node) if name not in known))
        known.update(node.output)
    return list(free)


def descendants(nodes: Iterable[NodeProto], names: Iterable[str]) -> set[str]:
    """`names` and every result of `nodes` that depends on one of them."""
    found = set(names)
    for node in nodes:
        if found.intersection(read_names(node)):
            found.update(node.output)
    return found
