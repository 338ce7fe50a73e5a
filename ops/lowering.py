"""Lowering: one spiking node becomes linear ONNX nodes and sites.

The runtime, calibration and export all work on the lowered form, so an operator says only
once which sites it has and what lies between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx2snn.ops.node import Node
from onnx2snn.ops.passing import remainder, write_linear_part
from onnx2snn.ops.target import Target


@dataclass(frozen=True)
class Site:
    """One population of neurons between tensors of the lowered graph.

    name:     "<spiking node>/<site>", unique in a graph.
    target:   the function its neurons estimate.
    operands: tensors carrying the input currents x_1 .. x_k.
    output:   tensor carrying the estimate v.
    beside:   tensor that is added to v, since it passes by the neurons; "" if none does.
    coding:   how it encodes the network's input ("current" or "poisson"); "" for neurons.
    seed:     of random spikes.
    """

    name: str
    target: Target
    operands: tuple[str, ...]
    output: str
    beside: str = ""
    coding: str = ""
    seed: int = 0


@dataclass(frozen=True)
class Lowered:
    """The lowered form of one spiking node: steps in order and the constants they read."""

    steps: tuple[Node | Site, ...]
    constants: Mapping[str, NDArray[Any]]

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites in order of execution."""
        return tuple(step for step in self.steps if isinstance(step, Site))


@dataclass
class Lowering:
    """Collects the steps of one spiking node; tensor names are private to that node.

    passing: c, of the linear part of a site's function that passes by its neurons.
    """

    prefix: str
    passing: float = 0.0
    steps: list[Node | Site] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)

    def _fresh(self, hint: str) -> str:
        return f"{self.prefix}/{hint}.{len(self.steps) + len(self.constants)}"

    def constant(self, values: Sequence[int]) -> str:
        """An integer operand (axes, splits) of a linear node."""
        name = self._fresh("constant")
        self.constants[name] = np.asarray(values, dtype=np.int64)
        return name

    def number(self, value: float) -> str:
        """A floating-point scalar, in the precision of the signals."""
        name = self._fresh("number")
        self.constants[name] = np.asarray(value, dtype=np.float32)
        return name

    def linear(self, op_type: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Append a linear node; returns the name of its result."""
        output = self._fresh(op_type)
        self.steps.append(Node(op_type, inputs, (output,), attributes, output, domain))
        return output

    def split(self, x: str, parts: int, axis: int) -> list[str]:
        """Append a Split of `x` into equal parts along `axis`; returns their names."""
        name = self._fresh("Split")
        outputs = tuple(f"{name}_{i}" for i in range(parts))
        self.steps.append(Node("Split", (x,), outputs, {"axis": axis, "num_outputs": parts}, name))
        return list(outputs)

    def site(
        self,
        name: str,
        target: Target,
        *operands: str,
        beside: str = "",
        coding: str = "",
        seed: int = 0,
    ) -> str:
        """Append a site; returns the name of its estimate, what passes by it added."""
        if self.passing:
            (x,) = operands
            part = write_linear_part(target, x, self.constant, self.linear)
            beside = self.linear("Mul", part, self.number(self.passing))
            target = remainder(target, self.passing)
        output = self._fresh(name)
        name = f"{self.prefix}/{name}"
        self.steps.append(Site(name, target, operands, output, beside, coding, seed))
        return self.linear("Add", beside, output) if beside else output

    def finish(self, result: str, output: str) -> Lowered:
        """The lowered node, with `result` renamed to the node's own output."""

        def rename(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(output if name == result else name for name in names)

        steps: list[Node | Site] = []
        for step in self.steps:
            if isinstance(step, Site):
                steps.append(
                    replace(step, operands=rename(step.operands), output=rename((step.output,))[0])
                )
            else:
                steps.append(
                    replace(step, inputs=rename(step.inputs), outputs=rename(step.outputs))
                )
        return Lowered(tuple(steps), dict(self.constants))
