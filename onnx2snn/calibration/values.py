"""What the ANN computes on the calibration data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from onnx2snn.calibration import data as calibration_data
from onnx2snn.calibration.ann import AnnTargets, Feed, Probe, activations
from onnx2snn.calibration.moments import Moments, moments
from onnx2snn.calibration.same import check_canonical
from onnx2snn.runtime.plan import Plan


@dataclass(frozen=True)
class AnnValues:
    """Operands of all spiking nodes on the first `samples` calibration samples.

    parts:   operands that the canonical graph lacks, since matching split the node they come from.
    outputs: floating-point outputs of the model.
    moments: of f* on all calibration samples, by site name, where `samples` are only some of them.
    """

    tensors: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    parts: frozenset[str]
    samples: int
    moments: Mapping[str, Moments] = field(default_factory=dict)

    def targets(self) -> AnnTargets:
        """f* of the sites."""
        return AnnTargets(self.tensors, self.parts)


def ann_values(
    original: onnx.ModelProto,
    canonical: onnx.ModelProto,
    plan: Plan,
    feed: Feed,
    time_steps: int | None,
) -> AnnValues:
    """Operands of every spiking node as onnxruntime computes them on calibration data.

    time_steps: of the walk that the samples are for, which bounds their number; None for all.
    """
    operands = dict.fromkeys(name for step in plan.sites for name in step.source.inputs if name)
    varying = [name for name in operands if name not in plan.constants]
    graph = canonical.graph
    known = {value.name for value in graph.input}.union(*(node.output for node in graph.node))
    wanted = [name for name in varying if name in known]
    outputs = [o.name for o in plan.graph.outputs]
    one = first_samples(feed, 1)
    model = with_open_batch(canonical)
    probe = Probe(model, [*wanted, *outputs])
    first = probe(one)
    answers = {name: first[name] for name in outputs}
    check_canonical(with_open_batch(original), canonical, answers, one)
    neurons = max((first[name].numel() for name in wanted), default=1)
    samples = available = sample_count(feed)
    if time_steps is not None:
        available = min(available, calibration_data.LARGEST_SAMPLES)
        samples = calibration_data.affordable(available, time_steps, neurons)
    fixed = {
        name: single(torch.from_numpy(np.array(plan.constants[name])))
        for name in operands
        if name in plan.constants
    }
    parts = frozenset(varying) - known

    def values(first_sample: int) -> AnnValues:
        some = slice(first_sample, min(first_sample + samples, available))
        found = probe({n: array[some] if array.ndim else array for n, array in feed.items()})
        tensors = {name: single(found[name]) for name in wanted}
        decoded = {n: found[n].float() for n in outputs if found[n].is_floating_point()}
        return AnnValues({**tensors, **fixed}, decoded, parts, some.stop - some.start)

    walked = values(0)
    if samples == available:
        return walked
    later = (values(start) for start in range(samples, available, samples))
    return replace(walked, moments=moments(_targets(plan, part) for part in chain([walked], later)))


def _targets(plan: Plan, values: AnnValues) -> dict[str, Tensor]:
    targets = values.targets()
    return {step.site.name: targets(step) for step in plan.sites}


def single(tensor: Tensor) -> Tensor:
    """Signals in single precision, in which calibration runs; other tensors as they are."""
    return tensor.float() if tensor.is_floating_point() else tensor


def check_first_sample(
    original: onnx.ModelProto, canonical: onnx.ModelProto, plan: Plan, feed: Feed
) -> None:
    """Hold the canonical form against the original model on the first sample."""
    outputs, one = [o.name for o in plan.graph.outputs], first_samples(feed, 1)
    found = activations(with_open_batch(canonical), outputs, one)
    check_canonical(with_open_batch(original), canonical, found, one)


def with_open_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the first axis of its inputs and outputs left open."""
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    del opened.graph.value_info[:]
    for value in (*opened.graph.input, *opened.graph.output):
        shape = value.type.tensor_type.shape
        if shape.dim:
            shape.dim[0].dim_param = "onnx2snn_batch"
    return opened


def sample_count(feed: Feed) -> int:
    """Samples of a feed."""
    return next((array.shape[0] for array in feed.values() if array.ndim), 1)


def first_samples(feed: Feed, samples: int) -> dict[str, NDArray[Any]]:
    """The feed's first samples; an input without axes is the same for all."""
    return {name: array[:samples] if array.ndim else array for name, array in feed.items()}
