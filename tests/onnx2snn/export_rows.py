"""Spiking files made by hand around one operator, and rows as plain models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from onnx2snn.export.double import REWRITES
from onnx2snn.export.nodes import write_node
from onnx2snn.export.targets import write_target
from onnx2snn.export.writer import Names, Store, Writer
from onnx2snn.ops import BY_SOURCE, DOMAIN, DOMAIN_VERSION
from onnx2snn.ops.lowering import Site
from onnx2snn.ops.node import Node
from onnx2snn.ops.schema import BODY_OPSET, function_body
from onnx2snn.runtime.linear import LINEAR
from onnx2snn.runtime.plan import SiteStep

Array = np.ndarray[Any, Any]
STEPS = 6


def writer(precision: str, taken: Sequence[str] = ()) -> Writer:
    rewrites = REWRITES if precision == "float64" else {}
    return Writer(Store(Names(set(taken)), np.dtype(precision)), rewrites=rewrites)


def finished(w: Writer, inputs: dict[str, Array], outputs: Sequence[str]) -> onnx.ModelProto:
    """The nodes written so far as a model."""
    infos = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in inputs.items()
    ]
    graph = helper.make_graph(
        w.nodes,
        "row",
        infos,
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(a, n) for n, a in w.store.arrays.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", BODY_OPSET)], ir_version=10
    )


def lowered_model(row: Any, arrays: dict[str, Array], precision: str) -> onnx.ModelProto:
    """The lowered form of an operator row, every site replaced by its function in ONNX."""
    node, lowered = _lowered(row)
    w = writer(precision, list(arrays))
    w.shapes.update((name, array.shape) for name, array in arrays.items())
    names = {**{n: n for n in arrays}, "": ""}
    names |= {n: w.constant(a, n) for n, a in lowered.constants.items()}
    for step in lowered.steps:
        if isinstance(step, Site):
            currents = [names[name] for name in step.operands]
            result = write_target(w, SiteStep(step, node, {}), currents, names.__getitem__)
            names[step.output] = result
            continue
        inputs = [names[name] for name in step.inputs]
        results = write_node(w, step, inputs, analog=False)
        names.update(zip(step.outputs, results, strict=True))
    return finished(w, arrays, [names["y"]])


def lowered_torch(row: Any, arrays: dict[str, Array]) -> Array:
    """The same in PyTorch."""
    _, lowered = _lowered(row)
    known = {n: torch.from_numpy(a) for n, a in {**arrays, **lowered.constants}.items()}
    for step in lowered.steps:
        if isinstance(step, Site):
            known[step.output] = step.target(*(known[name] for name in step.operands))
            continue
        operands = [known[name] if name else None for name in step.inputs]
        results = LINEAR[step.op_type].apply(operands, step.attributes)
        known.update(zip(step.outputs, results, strict=True))
    return known["y"].numpy()


def _names(row: Any) -> list[str]:
    return ["" if a is None else f"x{n}" for n, a in enumerate(row.operands)]


def _lowered(row: Any) -> Any:
    operator = BY_SOURCE[row.source]
    attributes = {**row.attributes, **row.extra}
    node = Node(operator.op_type, tuple(_names(row)), ("y",), attributes, "node")
    return node, operator.lower(node)


class SpikingFile:
    """A spiking model put together node by node, with drawn step sizes."""

    def __init__(self, spikes: str = "binary", seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._spikes = spikes
        self.nodes: list[onnx.NodeProto] = []
        self.stored: dict[str, Array] = {}
        self._widest: dict[str, int] = {}

    def constant(self, name: str, array: Array) -> str:
        self.stored[name] = array
        return name

    def spiking(
        self,
        source: str,
        operands: Sequence[str],
        output: str,
        reach: float = 4.0,
        initial: float = 0.0,
        **attributes: Any,
    ) -> None:
        operator = BY_SOURCE[source]
        inputs = [*operands, *[""] * (len(operator.operands) - len(operands))]
        name = f"{source}_{output}"
        node = Node(operator.op_type, tuple(inputs), (output,), attributes, name)
        parameters = []
        for i, _ in enumerate(operator.lower(node).sites):
            sizes = reach / 3 * 0.7 ** np.arange(STEPS) * self._rng.uniform(0.9, 1.1, STEPS)
            sizes[: i % 2] = 0  # some sites start late
            thresholds = 0.03 * self._rng.standard_normal(STEPS)
            values = (1.0, initial, sizes, thresholds)
            for key, value in zip(("scale", "initial", "eta", "theta"), values, strict=True):
                array = np.asarray(value, np.float32)
                parameters.append(self.constant(f"{name}/{i}/{key}", array))
        self._widest[source] = max(self._widest.get(source, 0), len(parameters))
        attributes["spikes"] = self._spikes
        proto = helper.make_node(
            operator.op_type, [*inputs, *parameters], [output], name, domain=DOMAIN
        )
        proto.attribute.extend(
            helper.make_attribute(k, v, attr_type=onnx.AttributeProto.INTS)
            if isinstance(v, list)
            else helper.make_attribute(k, v)
            for k, v in attributes.items()
        )
        self.nodes.append(proto)

    def node(self, op_type: str, inputs: Sequence[str], outputs: Sequence[str], **more: Any) -> str:
        """Append a standard node; its first result."""
        self.nodes.append(helper.make_node(op_type, inputs, outputs, outputs[0], **more))
        return outputs[0]

    def signal(self, x: str, output: str, positive: bool) -> str:
        """A spiking signal from the input `x`: within +-2, or above 0.6."""
        self.spiking("Sigmoid", [x], f"{output}_site", reach=0.6, initial=0.5)
        gain, shift = (1.0, 0.7) if positive else (4.0, -2.0)
        factor = self.constant(f"{output}_g", np.float32(gain))
        gained = self.node("Mul", [f"{output}_site", factor], [f"{output}_m"])
        offset = self.constant(f"{output}_o", np.float32(shift))
        return self.node("Add", [gained, offset], [output])

    def model(self, inputs: dict[str, Sequence[Any]], outputs: dict[str, int]) -> onnx.ModelProto:
        """`inputs`: shapes; `outputs`: ranks."""
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            "by hand",
            [info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
            [info(n, TensorProto.FLOAT, [None] * rank) for n, rank in outputs.items()],
            [numpy_helper.from_array(np.asarray(a), n) for n, a in self.stored.items()],
        )
        return helper.make_model(
            graph,
            opset_imports=[
                helper.make_opsetid("", BODY_OPSET),
                helper.make_opsetid(DOMAIN, DOMAIN_VERSION),
            ],
            functions=[function_body(BY_SOURCE[s], n, BODY_OPSET) for s, n in self._widest.items()],
            ir_version=10,
        )
