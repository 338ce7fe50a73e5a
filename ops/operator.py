"""The record that describes one spiking operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from onnx2snn.ops.dynamics import ALPHABETS
from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.lowering import Lowered, Lowering
from onnx2snn.ops.node import Node
from onnx2snn.ops.passing import may_pass
from onnx2snn.ops.target import Target

DOMAIN = "onnx2snn"
DOMAIN_VERSION = 1
PARAMETERS_PER_SITE = ("scale", "initial", "step_sizes", "thresholds")

Value = int | float | str | list[int]
Build = Callable[[Lowering, tuple[str, ...], Mapping[str, Any]], str]


_TYPES: dict[str, type | tuple[type, ...]] = {
    "int": int,
    "float": (int, float),
    "string": str,
}


def _is_of_kind(kind: str, value: Any) -> bool:
    if kind == "ints":
        return isinstance(value, list | tuple) and all(_is_of_kind("int", item) for item in value)
    return isinstance(value, _TYPES[kind]) and not isinstance(value, bool)


@dataclass(frozen=True)
class Attribute:
    """An attribute of a spiking node.

    kind:    "int", "float", "string" or "ints".
    default: None where the ONNX operator has no default either.
    choices: the strings allowed, any if empty.
    """

    name: str
    kind: str
    default: Value | None = None
    choices: tuple[str, ...] = ()

    def check(self, value: Any) -> None:
        """Raise ModelError unless `value` is of the attribute's kind and among its choices."""
        if not _is_of_kind(self.kind, value):
            raise ModelError(f"attribute '{self.name}' must be of kind {self.kind}, not {value!r}")
        if self.choices and value not in self.choices:
            raise ModelError(
                f"attribute '{self.name}' is {value!r}; it must be one of {', '.join(self.choices)}"
            )


PAPER = "signgd_paper"
INTEGRATING = ("if", "lif")
DYNAMICS = ("signgd", PAPER, *INTEGRATING)

# c, of the linear part of the function that passes by the neurons (`ops.passing`).
PASSING = "passing"

NEURON_ATTRIBUTES = (
    Attribute("dynamics", "string", "signgd", DYNAMICS),
    Attribute("spikes", "string", "binary", tuple(ALPHABETS)),
    Attribute("schedule", "string", "calibrated"),
    Attribute(PASSING, "float", 0.0),
)


@dataclass(frozen=True)
class SpikingOperator:
    """One spiking operator of the domain `onnx2snn`, version 1.

    source:     the ONNX operator it replaces; its name is "Spiking" + source.
    equation:   the function it computes in the limit T -> infinity.
    build:      emits linear nodes and sites: (lowering, operand names, attributes) -> result.
    operands:   names of the source's inputs, in order.
    optional:   how many of the last operands may be absent.
    signals:    positions of operands that may vary over time; the others are constants.
    attributes: those of the source operator (and of the decomposition), not of the neurons.
    body:       limit as ONNX text in terms of operand and attribute names; by default the
                source operator itself.
    domain:     of the source operator; "" is the standard one.
    integrates: whether integrate-and-fire neurons compute it too.
    claim:      relative error of the decoded output on unit normal input, 32 calibrated
                binary steps, that a test measures. What is above the default is due to
                outliers beyond any in the calibration data.
    rate:       p, where the error of T steps falls at least as T^-p under the inverse schedule,
                whose step sizes fall as 1 / t: a target at rest is then missed by eta(T) at
                most. A test measures it.
    """

    source: str
    equation: str
    build: Build
    operands: tuple[str, ...] = ("X",)
    optional: int = 0
    signals: tuple[int, ...] = (0,)
    attributes: tuple[Attribute, ...] = ()
    body: str = ""
    domain: str = ""
    integrates: bool = False
    claim: float = 0.002
    rate: float = 1.0

    def __post_init__(self) -> None:
        names = [a.name for a in self.all_attributes]
        if len(names) != len(set(names)):
            raise ValueError(f"{self.op_type}: attribute declared twice")
        if not all(0 <= i < len(self.operands) for i in self.signals):
            raise ValueError(f"{self.op_type}: signals outside its operands")

    @property
    def op_type(self) -> str:
        """Name of the operator in the domain `onnx2snn`."""
        return f"Spiking{self.source}"

    @property
    def all_attributes(self) -> tuple[Attribute, ...]:
        """The source's attributes followed by those of the neurons."""
        return (*self.attributes, *NEURON_ATTRIBUTES)

    def complete(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """`attributes` checked, with defaults filled in; None where there is no default."""
        known = {a.name: a for a in self.all_attributes}
        for name, value in attributes.items():
            if name not in known:
                raise ModelError(f"attribute '{name}' is unknown to {self.op_type}")
            known[name].check(value)
        if attributes.get("dynamics") in INTEGRATING and not self.integrates:
            raise ModelError(f"{self.op_type} is none that integrate-and-fire neurons compute")
        return {name: attributes.get(name, a.default) for name, a in known.items()}

    def lower(self, node: Node) -> Lowered:
        """Linear nodes and sites of `node`, which may carry site parameters or none yet."""
        attributes = self.complete(node.attributes)
        operands = (*node.inputs, *("",) * len(self.operands))[: len(self.operands)]
        slope = attributes[PASSING]
        if slope:
            self._check_passing(slope, replace(node, attributes={**node.attributes, PASSING: 0.0}))
        lowering = Lowering(node.name, slope)
        result = self.build(lowering, operands, attributes)
        return lowering.finish(result, node.outputs[0])

    def _check_passing(self, slope: float, node: Node) -> None:
        sites = self.lower(node).sites
        if not isfinite(slope) or len(sites) != 1 or not may_pass(sites[0].target):
            raise ModelError(
                f"attribute '{PASSING}' is {slope}; it must be finite, and 0 where {self.op_type} "
                "has more than one site or more than one current"
            )

    def parameters(self, node: Node) -> tuple[dict[str, str], ...]:
        """Per site of `node`, in order, the tensor names of its parameters."""
        names = node.inputs[len(self.operands) :]
        width = len(PARAMETERS_PER_SITE)
        sites = self.lower(node).sites
        if len(names) != width * len(sites):
            raise ModelError(
                f"{self.op_type} has {len(sites)} sites and needs {width * len(sites)} "
                f"parameters ({', '.join(PARAMETERS_PER_SITE)}), but {len(names)} are given"
            )
        return tuple(
            dict(zip(PARAMETERS_PER_SITE, names[i : i + width], strict=True))
            for i in range(0, len(names), width)
        )


def is_paper(attributes: Mapping[str, Any]) -> bool:
    """Whether a node's neurons are to be, bit for bit, those of the paper's own code."""
    return bool(attributes["dynamics"] == PAPER)


def unary(
    function: Callable[..., Target], *names: str, paper: Callable[..., Target] | None = None
) -> Build:
    """One site whose target takes the attributes `names`: target = function(**attributes).

    paper: the function of the paper's own code, where it has another one.
    """

    def build(lowering: Lowering, operands: tuple[str, ...], attributes: Mapping[str, Any]) -> str:
        chosen = paper if paper is not None and is_paper(attributes) else function
        target = chosen(**{name: attributes[name] for name in names})
        return lowering.site("output", target, *operands)

    return build
