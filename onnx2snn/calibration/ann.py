"""The ANN's own activations, from onnxruntime."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime import OrtValue
from torch import Tensor

from onnx2snn.ops import BY_OP_TYPE
from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.lowering import Site
from onnx2snn.ops.node import Node
from onnx2snn.ops.schema import BODY_OPSET
from onnx2snn.runtime.linear import LINEAR
from onnx2snn.runtime.loading import apart, is_large
from onnx2snn.runtime.nodes import NodeRunner
from onnx2snn.runtime.plan import SiteStep

Feed = Mapping[str, NDArray[Any]]


def open_onnxruntime(model: onnx.ModelProto | str) -> onnxruntime.InferenceSession:
    """An onnxruntime session on the CPU, without chatter.

    Basic optimisation only: beyond it, onnxruntime 1.31 crashes on a half-precision
    LayerNormalization within a function body, which spiking files hold. What is quantised is
    computed as the model says, not with the integer weights that optimisation would choose.
    """
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    source, weights = (model, []) if isinstance(model, str) else _serialised(model, options)
    try:
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        remedy = "; it may know it in float32" if "NOT_IMPLEMENTED" in reason else ""
        raise ModelError(f"onnxruntime cannot open the model: {reason}{remedy}") from error
    session.weights = weights  # which it reads where they are, as long as it lives
    return session


def _serialised(
    model: onnx.ModelProto, options: onnxruntime.SessionOptions
) -> tuple[bytes, list[OrtValue]]:
    """The model as one message, and large weights by its side."""
    weights = []
    if is_large(model):
        model, heavy = apart(model, "memory")
        weights = [OrtValue.ortvalue_from_numpy(numpy_helper.to_array(tensor)) for tensor in heavy]
        options.add_external_initializers([tensor.name for tensor in heavy], weights)
    return model.SerializeToString(), weights


def with_outputs(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """The model with the tensors `names` among its outputs."""
    extended = onnx.ModelProto()
    extended.CopyFrom(model)
    declared = {output.name for output in extended.graph.output}
    extended.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in names if name not in declared
    )
    return extended


class Probe:
    """onnxruntime's session of a model that shows the values of the tensors `names`."""

    def __init__(self, model: onnx.ModelProto, names: Sequence[str]) -> None:
        self._inputs = {i.name for i in model.graph.input} & set(names)
        self._produced = [name for name in dict.fromkeys(names) if name not in self._inputs]
        self._session = open_onnxruntime(with_outputs(model, self._produced))

    def __call__(self, feed: Feed) -> dict[str, Tensor]:
        """Their values on `feed`."""
        try:
            results = self._session.run(self._produced, dict(feed)) if self._produced else []
        except Exception as error:
            reason = str(error).strip().splitlines()[0]
            raise ModelError(
                f"onnxruntime cannot run the model on the calibration data, whose samples must "
                f"lie along the first axis of each input: {reason}"
            ) from error
        values = {n: torch.from_numpy(x) for n, x in zip(self._produced, results, strict=True)}
        return {**values, **{n: torch.from_numpy(np.asarray(feed[n])) for n in self._inputs}}


def activations(model: onnx.ModelProto, names: Sequence[str], feed: Feed) -> dict[str, Tensor]:
    """Values of the tensors `names` when onnxruntime runs `model` on `feed`."""
    return Probe(model, names)(feed)


@dataclass(frozen=True)
class SiteValue:
    """What the ANN has at a site.

    target: f*, which the neurons send.
    whole:  with what passes by them.
    """

    target: Tensor
    whole: Tensor


def site_values(node: Node, values: Mapping[str, Tensor]) -> dict[str, SiteValue]:
    """Of every site of a spiking node, by site name, from the values of its operands."""
    lowered = BY_OP_TYPE[node.op_type].lower(node)
    known = {name: torch.from_numpy(a) for name, a in lowered.constants.items()} | dict(values)
    found, runner = {}, NodeRunner({"": BODY_OPSET})
    for step in lowered.steps:
        if isinstance(step, Site):
            known[step.output] = step.target(*(known[name] for name in step.operands))
            target = known[step.output]
            whole = target + known[step.beside] if step.beside else target
            found[step.name] = SiteValue(target, whole)
        else:
            operands = [known[name] if name else None for name in step.inputs]
            results = runner.apply(step, LINEAR.get(step.op_type), operands)
            known.update(zip(step.outputs, results, strict=False))
    return found


class AnnTargets:
    """The ANN's value of every site; computed once for each spiking node and then handed out.

    values: operands of the spiking nodes, as the ANN computes them.
    parts:  operands that the ANN lacks, since matching split the node that writes them; their
            values are those of the site that writes them.
    """

    def __init__(self, values: Mapping[str, Tensor], parts: frozenset[str] = frozenset()) -> None:
        self._values = dict(values)
        self._parts = parts
        self._known: dict[str, SiteValue] = {}

    def __call__(self, step: SiteStep) -> Tensor:
        """f* of one site, shape of the site."""
        return self.value(step).target

    def value(self, step: SiteStep) -> SiteValue:
        """What the ANN has at one site."""
        if step.site.name not in self._known:
            self._known = site_values(step.source, self._values)
        found = self._known[step.site.name]
        result = step.source.outputs[0]
        if result in self._parts and (step.site.beside or step.site.output == result):
            self._values[result] = found.whole
        return found
