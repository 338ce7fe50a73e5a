"""The table of spiking operators: the package's own, and those that users add."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType

from onnx2snn.ops.errors import UsageError
from onnx2snn.ops.operator import SpikingOperator

PLUGINS = "onnx2snn.operators"

_by_source: dict[str, SpikingOperator] = {}
_by_op_type: dict[str, SpikingOperator] = {}

BY_SOURCE: Mapping[str, SpikingOperator] = MappingProxyType(_by_source)
BY_OP_TYPE: Mapping[str, SpikingOperator] = MappingProxyType(_by_op_type)


def register(operator: SpikingOperator) -> SpikingOperator:
    """Add an operator to those that `convert` matches and the runtime executes; returns it.

    An operator outside the standard domain needs a `body`, since onnxruntime does not know it.
    Raises UsageError without one, and where another operator has its name.
    """
    known = _by_source.get(operator.source)
    if known is not None and known is not operator:
        raise UsageError(f"a spiking operator for '{operator.source}' is registered already")
    if operator.domain and not operator.body:
        raise UsageError(
            f"'{operator.source}' is of domain '{operator.domain}', which onnxruntime does not "
            "know; give its record a `body` of standard operators"
        )
    _by_source[operator.source] = operator
    _by_op_type[operator.op_type] = operator
    return operator


def by_node(domain: str, op_type: str) -> SpikingOperator | None:
    """The operator a user registered for the nodes of a domain other than the standard one."""
    operator = _by_source.get(op_type)
    return operator if operator is not None and domain and operator.domain == domain else None


@cache
def load_plugins() -> None:
    """Register what installed packages offer as entry points of the group "onnx2snn.operators"."""
    for plugin in entry_points(group=PLUGINS):
        register(plugin.load())
