"""The ANN in double precision, from its plan: what each site's function gives, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from onnx2snn.calibration.layout import ChannelAxes
from onnx2snn.calibration.walk import site_axis
from onnx2snn.ops.errors import DataError
from onnx2snn.runtime.nodes import NodeRunner
from onnx2snn.runtime.parameters import constants_on
from onnx2snn.runtime.plan import Plan, SiteStep, step_inputs, step_outputs

MOST_SAMPLES = 64
# Numbers of input in a batch; activations of large networks are some twenty times as many.
MOST_NUMBERS = 1 << 20
CPU = torch.device("cpu")

Feed = Mapping[str, NDArray[Any]]


class Activation(NamedTuple):
    """f* of one site on one batch, and its channel axis, counted from the last."""

    site: str
    values: Tensor
    axis: int | None


def exact_activations(plan: Plan, feed: Feed) -> Iterator[Activation]:
    """Every site on every batch of calibration data; the last two overlap if sizes are fixed."""
    constants = constants_on(plan, CPU, torch.float64)
    nodes = NodeRunner(plan.graph.opsets)
    with torch.inference_mode():
        for inputs in _batches(plan, feed):
            yield from _pass(plan, nodes, constants, inputs)


def _batches(plan: Plan, feed: Feed) -> Iterator[dict[str, Tensor]]:
    samples = max((array.shape[0] for array in feed.values() if array.ndim), default=1)
    shapes = [info.shape for info in plan.graph.inputs if info.shape]
    fixed = next((shape[0] for shape in shapes if isinstance(shape[0], int)), None)
    largest = max((array[:1].size for array in feed.values() if array.ndim), default=1)
    size = fixed or max(1, min(MOST_SAMPLES, samples, MOST_NUMBERS // max(largest, 1)))
    if size > samples:
        raise DataError(f"the model takes batches of {size}; {samples} calibration samples are few")
    for start in range(0, samples, size):
        first = min(start, samples - size) if fixed else start
        tensors = {
            name: torch.from_numpy(array[first : first + size] if array.ndim else array)
            for name, array in feed.items()
        }
        yield {n: x.double() if x.is_floating_point() else x for n, x in tensors.items()}


def _pass(
    plan: Plan, nodes: NodeRunner, constants: Mapping[str, Tensor], inputs: Mapping[str, Tensor]
) -> Iterator[Activation]:
    values, axes = dict(inputs), ChannelAxes(signals=set(inputs))

    def value(name: str) -> Tensor:
        return values[name] if name in values else constants[name]

    for step, unread in zip(plan.steps, plan.last_use, strict=True):
        if isinstance(step, SiteStep):
            result = step.site.target(*(value(name) for name in step_inputs(step)))
            values[step.site.output] = result
            yield Activation(step.site.name, result, site_axis(step.site, axes, result.dim()))
        else:
            operands = [value(name) if name else None for name in step.node.inputs]
            results = nodes.apply(step.node, step.operator, operands)
            values.update(zip(step.node.outputs, results, strict=False))
        ranks = [values[name].dim() for name in step_outputs(step) if name in values]
        axes.follow(step, ranks[0] if ranks else 0)
        for name in unread:
            values.pop(name, None)
