"""What a spiking network does once: every node at t = 0, constants over time among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from onnx import TensorProto

from onnx2snn.export.nodes import float_type, write_node
from onnx2snn.export.targets import write_target
from onnx2snn.export.writer import Shape, Writer
from onnx2snn.runtime.graph import FLOATING
from onnx2snn.runtime.plan import Plan, SiteStep, step_outputs
from onnx2snn.runtime.state import Parameters

START = ".start"


class Inferred(NamedTuple):
    """Shapes and ONNX element types by tensor name, as far as known."""

    shapes: Mapping[str, Shape]
    types: Mapping[str, int]

    def is_discrete(self, tensor: str) -> bool:
        """Whether the tensor is known to hold integers or booleans."""
        return self.types.get(tensor, TensorProto.FLOAT) not in FLOATING


@dataclass
class Once:
    """The tensors at t = 0, where every site stands at v(0).

    known:   of the plan's tensors.
    values:  what a tensor of the plan is called in the exported graph.
    targets: what the value of a site's function is called, by the site's name.
    """

    plan: Plan
    writer: Writer
    parameters: Mapping[str, Parameters]
    known: Inferred
    values: dict[str, str] = field(default_factory=dict)
    targets: dict[str, str] = field(default_factory=dict)

    def value(self, name: str) -> str:
        """The name of a tensor's value at t = 0, "" for an absent operand."""
        if name and name not in self.values:
            self.bind(name, self.writer.store.add(self.plan.constants[name], name))
        return self.values.get(name, "")

    def bind(self, name: str, value: str) -> None:
        """Let `value` stand for a tensor of the plan."""
        self.values[name] = value
        shape = self.known.shapes.get(name)
        if shape is not None:
            self.writer.shapes[value] = shape

    def write(self) -> None:
        """Emit the inputs' casts and then all steps of the plan."""
        dtype = float_type(self.writer.dtype)
        for info in self.plan.graph.inputs:
            typed = info.name
            if info.element_type in FLOATING and info.element_type != dtype:
                typed = self.writer.call("Cast", info.name, hint=f"{info.name}.typed", to=dtype)
            self.bind(info.name, typed)
        for step in self.plan.steps:
            if isinstance(step, SiteStep):
                self._start(step)
                continue
            inputs = [self.value(name) for name in step.node.inputs]
            varies = any(name in self.plan.varying for name in step_outputs(step))
            results = write_node(
                self.writer,
                step.node,
                inputs,
                analog=step.operator is None,
                suffix=START if varies else "",
            )
            for name, result in zip(step.node.outputs, results, strict=True):
                if name:
                    self.bind(name, result)

    def target(self, step: SiteStep) -> str:
        """The value of f at t = 0; emitted once."""
        name = step.site.name
        if name not in self.targets:
            currents = [self.value(operand) for operand in step.site.operands]
            self.targets[name] = write_target(self.writer, step, currents, self.value)
        return self.targets[name]

    def _start(self, step: SiteStep) -> None:
        """v(0) in the shape of f."""
        initial = self.parameters[step.site.name].initial.numpy()
        start = self.writer.constant(np.asarray(initial), f"{step.site.name}.initial")
        shape = self.writer.call("Shape", self.target(step))
        name = step.site.output + START
        self.bind(step.site.output, self.writer.call("Expand", start, shape, hint=name))
