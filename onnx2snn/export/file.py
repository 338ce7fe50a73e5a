"""Nodes, constants and interface as one checked model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import onnx
from onnx import NodeProto, ValueInfoProto, helper, numpy_helper

from onnx2snn.export.live import free_names
from onnx2snn.export.network import Network
from onnx2snn.ops import DOMAIN
from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.schema import BODY_OPSET
from onnx2snn.runtime.loading.detach import detach


def write_model(
    network: Network,
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    metadata: Mapping[str, str],
) -> onnx.ModelProto:
    """The model of `nodes` with the constants they read and the source's metadata."""
    source, arrays = network.source, network.store.arrays
    graph = helper.make_graph(list(nodes), source.graph.name, list(inputs), list(outputs))
    graph.initializer.extend(
        numpy_helper.from_array(arrays[name], name) for name in _read(nodes) if name in arrays
    )
    domains = {domain for domain in _domains(nodes) if domain}
    opsets = network.plan.graph.opsets
    model = helper.make_model(
        graph,
        producer_name="onnx2snn",
        ir_version=source.ir_version,
        opset_imports=[
            helper.make_opsetid("", max(opsets.get("", BODY_OPSET), BODY_OPSET)),
            *(helper.make_opsetid(d, opsets.get(d, 1)) for d in sorted(domains)),
        ],
        functions=[f for f in source.functions if f.domain in domains and f.domain != DOMAIN],
    )
    steps = {"onnx2snn.export_time_steps": str(network.time_steps)}
    helper.set_model_props(model, {**network.plan.graph.metadata, **steps, **metadata})
    return shaped(model)


def _bodies(node: NodeProto) -> list[onnx.GraphProto]:
    return [a.g for a in node.attribute if a.HasField("g")]


def _read(nodes: Iterable[NodeProto]) -> list[str]:
    """What nodes read from outside, in their bodies too."""
    listed = list(nodes)
    names = free_names(listed)
    for node in listed:
        for body in _bodies(node):
            names += free_names(body.node, (value.name for value in body.input))
    return list(dict.fromkeys(names))


def _domains(nodes: Iterable[NodeProto]) -> set[str]:
    found = set()
    for node in nodes:
        found.add(node.domain)
        for body in _bodies(node):
            found |= _domains(body.node)
    return found


def known_size(size: int | str | None) -> int | str | None:
    """A size as it is shown to users, without the names that shape inference makes up."""
    return None if isinstance(size, str) and size.startswith("unk__") else size


def shaped(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, with inferred types and shapes where its outputs lack them."""
    lacking = [v for v in model.graph.output if not v.type.tensor_type.HasField("shape")]
    if not lacking:
        return model
    light, _ = detach(model)
    inferred = onnx.shape_inference.infer_shapes(light, data_prop=True)
    known = {v.name: v.type for v in (*inferred.graph.output, *inferred.graph.value_info)}
    for value in lacking:
        kind = known.get(value.name)
        if kind is None or not kind.tensor_type.HasField("shape"):
            raise ModelError(
                f"tensor '{value.name}': its rank cannot be told from the file; "
                "export with --to onnx-loop"
            )
        value.type.CopyFrom(kind)
        for dim in value.type.tensor_type.shape.dim:
            if known_size(dim.dim_param) is None:
                dim.Clear()
    return model
