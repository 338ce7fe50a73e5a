"""Max and Min of two operands (ONNX Max-13, Min-13), of many, and over windows: one site each."""

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from onnx2snn.ops.operator import SpikingOperator, unary
from onnx2snn.ops.target import Folded, Target, Windowed, identity, strict
from onnx2snn.ops.windows import Geometry, Windows


def maximum() -> Target:
    """f(x_1, x_2) = max(x_1, x_2)."""
    return Target("maximum", 2, torch.maximum, "Y = Max (X1, X2)")


def paper_maximum() -> Target:
    """The same, silent at ties, as in the paper's code."""
    return strict(maximum())


def largest(count: int, floor: float) -> Target:
    """f(x_1, ..., x_k) = max(x_1, ..., x_k, floor), k = `count`."""

    def function(*values: Tensor) -> Tensor:
        return reduce(torch.maximum, values).clamp_min(floor)

    members = ", ".join(f"X{i + 1}" for i in range(count))
    return Target("largest", count, function, f"Y = Max ({members}, floor)", {"floor": floor})


def largest_in(windows: Windows, floor: float) -> Target:
    """f(x) = max(floor, x in the window), one neuron for every window."""
    over_members = largest(windows.size, floor)
    body = f"pooled = MaxPool <{_attributes(windows.geometries)}> (X1) Y = Max (pooled, floor)"
    return Target(
        name="largest in a window",
        arity=1,
        function=lambda x: over_members(*windows.members(x)),
        body=body,
        constants=over_members.constants,
        windowed=Windowed(windows, over_members),
        folded=Folded((), "max", identity(), largest(1, floor)),
    )


def _attributes(geometries: Sequence[Geometry]) -> str:
    """Of MaxPool, as ONNX text."""
    numbers = {
        "kernel_shape": [g.kernel for g in geometries],
        "strides": [g.stride for g in geometries],
        "dilations": [g.dilation for g in geometries],
    }
    if geometries[0].auto_pad == "NOTSET":
        numbers["pads"] = [g.pads[side] for side in (0, 1) for g in geometries]
    lists = [f"{name}: ints = {values}" for name, values in numbers.items()]
    shared = geometries[0]
    ends = [f"ceil_mode: int = {shared.ceil_mode}", f'auto_pad: string = "{shared.auto_pad}"']
    return ", ".join([*lists, *ends])


def minimum() -> Target:
    """f(x_1, x_2) = min(x_1, x_2)."""
    return Target("minimum", 2, torch.minimum, "Y = Min (X1, X2)")


MAX = SpikingOperator(
    source="Max",
    equation="f(a, b) = max(a, b)",
    build=unary(maximum, paper=paper_maximum),
    operands=("A", "B"),
    signals=(0, 1),
)

MIN = SpikingOperator(
    source="Min",
    equation="f(a, b) = min(a, b)",
    build=unary(minimum),
    operands=("A", "B"),
    signals=(0, 1),
)
