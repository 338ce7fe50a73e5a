"""The encoding of a network's input (METHOD section 6; Oh & Lee, ICML 2024, their own code).

current: analog, decays towards the input and never quite reaches it,
         v(t) = v(t-1) - eta(t) * (v(t-1) - x).
poisson: random spikes of either sign, whose mean is the input.
spikes:  those of a signGD neuron, as of any other site.

No ONNX node is behind it: `convert` puts one behind each input where it is asked to, and neurons
that send spikes where what linear layers make of the input would join others (`onnx2snn.relays`).
"""

from collections.abc import Mapping
from typing import Any

from onnx2snn.ops.lowering import Lowering
from onnx2snn.ops.operator import Attribute, SpikingOperator
from onnx2snn.ops.target import Target


def identity() -> Target:
    """f(x) = x."""
    return Target("identity", 1, lambda x: x, "Y = Identity (X1)")


def _build(lowering: Lowering, operands: tuple[str, ...], attributes: Mapping[str, Any]) -> str:
    coding, seed = attributes["coding"].removeprefix("spikes"), attributes["seed"]
    return lowering.site("output", identity(), *operands, coding=coding, seed=seed)


INPUT = SpikingOperator(
    source="Input",
    equation="f(x) = x",
    build=_build,
    body="Y = Identity (X)",
    integrates=True,
    attributes=(
        Attribute("coding", "string", "current", ("current", "poisson", "spikes")),
        Attribute("seed", "int", 0),
    ),
)
