"""Collects the nodes of one graph, or of a loop's body, with names that nothing else has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

Array = NDArray[Any]
Shape = tuple[int | str | None, ...]
Rewrite = Callable[["Writer", Sequence[str], Mapping[str, Any]], str]


@dataclass
class Names:
    """Names in use in a model."""

    used: set[str] = field(default_factory=set)

    def fresh(self, hint: str) -> str:
        """`hint`, or `hint` with a number where it is taken; taken from now on."""
        name, count = hint, 1
        while name in self.used:
            count += 1
            name = f"{hint}_{count}"
        self.used.add(name)
        return name


@dataclass
class Store:
    """Constant tensors of a model, by name; equal ones are stored once."""

    names: Names
    dtype: np.dtype[Any]
    arrays: dict[str, Array] = field(default_factory=dict)
    _known: dict[tuple[str, tuple[int, ...], bytes], str] = field(default_factory=dict)

    def typed(self, array: Array) -> Array:
        """Floating arrays in the precision of the export."""
        floating = array.dtype.kind == "f" or array.dtype.name == "bfloat16"
        return array.astype(self.dtype) if floating else array

    def add(self, array: Array, hint: str = "constant") -> str:
        """The name of a constant tensor, floating ones in the precision of the export."""
        array = self.typed(np.asarray(array))
        key = (array.dtype.str, array.shape, sha256(array.tobytes()).digest())
        if key not in self._known:
            self._known[key] = self.names.fresh(hint)
            self.arrays[self._known[key]] = array
        return self._known[key]


@dataclass
class Writer:
    """Nodes in order of execution.

    store:    where constants go.
    suffix:   ends the names of all results, to tell a body's from those around it.
    rewrites: operators that are written as others, by type.
    shapes:   of results where the source file tells them.
    """

    store: Store
    suffix: str = ""
    rewrites: Mapping[str, Rewrite] = field(default_factory=dict)
    nodes: list[NodeProto] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The floating-point type of all signals."""
        return self.store.dtype

    def constant(self, values: Any, hint: str = "constant") -> str:
        """A constant; Python integers become int64, floats the export's precision."""
        array = np.asarray(values)
        whole = array.dtype.kind == "i" and not isinstance(values, np.ndarray)
        return self.store.add(array.astype(np.int64) if whole else array, hint)

    def array(self, name: str) -> Array | None:
        """The value of a constant, None for anything else."""
        return self.store.arrays.get(name)

    def fresh(self, hint: str) -> str:
        """A name for a result."""
        return self.store.names.fresh(hint + self.suffix)

    def emit(
        self,
        op_type: str,
        inputs: Sequence[str],
        attributes: Mapping[str, Any] | None = None,
        hints: Sequence[str] = (),
        domain: str = "",
    ) -> list[str]:
        """Append a node, or what stands for it; the names of its results, "" where absent."""
        known = {k: v for k, v in (attributes or {}).items() if v is not None}
        rewrite = None if domain else self.rewrites.get(op_type)
        if rewrite is not None:
            return [rewrite(self, inputs, known)]
        outputs = [self.fresh(hint) if hint else "" for hint in hints or (op_type,)]
        self.nodes.append(_node_proto(op_type, inputs, outputs, known, domain))
        return outputs

    def call(self, op_type: str, *inputs: str, hint: str = "", **attributes: Any) -> str:
        """Append a node with one result; its name."""
        return self.emit(op_type, inputs, attributes, (hint or op_type,))[0]


def _node_proto(
    op_type: str,
    inputs: Iterable[str],
    outputs: Sequence[str],
    attributes: Mapping[str, Any],
    domain: str,
) -> NodeProto:
    node = helper.make_node(op_type, list(inputs), list(outputs), outputs[0], domain=domain)
    for name, value in attributes.items():
        if isinstance(value, np.ndarray):
            node.attribute.append(helper.make_attribute(name, numpy_helper.from_array(value)))
        elif isinstance(value, list | tuple) and not value:
            kind = onnx.AttributeProto.INTS
            node.attribute.append(helper.make_attribute(name, [], attr_type=kind))
        else:
            node.attribute.append(helper.make_attribute(name, value))
    return node
