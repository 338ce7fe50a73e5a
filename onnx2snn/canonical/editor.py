"""Writes the nodes that take the place of one node, in front of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from onnx2snn.canonical.graph import Array, fresh_name, insert_before, new_constant, replace


@dataclass(frozen=True)
class Editor:
    """Adds nodes before `node`; the last of them takes over its first output."""

    graph: gs.Graph
    node: gs.Node

    @property
    def base(self) -> str:
        """What new tensors are called after."""
        name: str = self.node.name or self.node.outputs[0].name
        return name

    def add(self, op_type: str, *inputs: gs.Tensor, **attributes: Any) -> gs.Tensor:
        """The result of a new node."""
        name = fresh_name(self.graph, f"{self.base}_{op_type}")
        result = gs.Variable(name)
        insert_before(self.graph, self.node, op_type, inputs, [result], attributes, name=name)
        return result

    def store(self, what: str, value: Array) -> gs.Tensor:
        """A stored tensor."""
        return new_constant(self.graph, f"{self.base}_{what}", value)

    def integers(self, what: str, *values: int) -> gs.Tensor:
        """A stored vector of integers."""
        return self.store(what, np.asarray(values, np.int64))

    def finish(self, op_type: str, *inputs: gs.Tensor, **attributes: Any) -> bool:
        """The node that writes the output in the stead of `node`."""
        replace(self.graph, self.node, op_type, inputs, attributes)
        return True
