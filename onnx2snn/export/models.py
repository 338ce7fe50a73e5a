"""Puts the parts of a network together: as a loop over time, or as models of start and step."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper

from onnx2snn.export.file import known_size, write_model
from onnx2snn.export.live import descendants, free_names, live_nodes, live_states
from onnx2snn.export.network import Network
from onnx2snn.export.nodes import float_type
from onnx2snn.export.step import StateNames
from onnx2snn.export.writer import Writer
from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.graph import FLOATING, TensorInfo

Model = onnx.ModelProto
STATES_KEY = "onnx2snn.states"


def loop_model(network: Network, spikes: bool) -> Model:
    """The network's inputs and outputs, with a Scan over all time steps between them."""
    fired = network.step.spikes if spikes else {}
    states, body = _step(network, fired)
    carried = {info.name for info in network.plan.graph.outputs} & network.plan.varying
    states += [s for name, s in network.step.states.items() if name in carried and s not in states]
    scan = _scan(network, states, body, fired)
    ends = {state.tensor: name for state, name in zip(states, scan.output, strict=False)}
    decoded = _decoded(network, ends)
    read = free_names([*body, scan, *decoded])
    nodes = [*live_nodes(network.once.writer.nodes, read), scan, *decoded]
    return write_model(
        network,
        nodes,
        [_interface(network, info) for info in network.plan.graph.inputs],
        [*_outputs(network), *_spike_outputs(network, fired, [network.time_steps])],
        {"onnx2snn.export": "onnx-loop"},
    )


def init_model(network: Network, spikes: bool) -> Model:
    """The network's inputs, and as outputs all that the step model reads but for the time."""
    fired = network.step.spikes if spikes else {}
    states, body = _step(network, fired)
    starts = [helper.make_node("Identity", [s.start], [s.before], s.before) for s in states]
    held, _ = _held(network, body)
    given = {info.name for info in network.plan.graph.inputs}
    outputs = [name for name in held if name not in given]
    nodes = live_nodes(network.once.writer.nodes, [*outputs, *(s.start for s in states)])
    infos = [ValueInfoProto(name=name) for name in outputs]
    infos += [_untyped(network, state.before, state) for state in states]
    inputs = [_interface(network, info) for info in network.plan.graph.inputs]
    return write_model(network, [*nodes, *starts], inputs, infos, {"onnx2snn.export": "onnx-init"})


def step_model(network: Network, spikes: bool) -> Model:
    """One time step: states before it, and what else it reads, to states after it and outputs."""
    fired = network.step.spikes if spikes else {}
    states, body = _step(network, fired)
    time = network.store.names.fresh("time_step")
    rows = _rows(network, body, time)
    ends = {name: state.after for name, state in network.step.states.items()}
    decoded = [*_decoded(network, ends), *_renamed_spikes(network, fired)]
    held, own = _held(network, body)
    known = {info.name: info for info in init_model(network, spikes).graph.output}
    known |= {i.name: _interface(network, i) for i in network.plan.graph.inputs}
    inputs = [known[name] for name in (*held, *(s.before for s in states))]
    inputs.append(helper.make_tensor_value_info(time, TensorProto.INT64, []))
    after = [_after(known[s.before], s.after) for s in states]
    metadata = {
        "onnx2snn.export": "onnx-step",
        STATES_KEY: json.dumps({s.before: {"next": s.after, "site": s.site} for s in states}),
    }
    return write_model(
        network,
        [*own, *rows, *body, *decoded],
        inputs,
        [*_outputs(network), *after, *_spike_outputs(network, fired, [])],
        metadata,
    )


def _step(network: Network, fired: dict[str, str]) -> tuple[list[StateNames], list[NodeProto]]:
    """The states and the nodes of a step on which outputs and spikes depend."""
    known = network.step.states
    outputs = [i.name for i in network.plan.graph.outputs if i.name in network.plan.varying]
    roots = [*(known[name].after for name in outputs), *fired.values()]
    states = live_states(network.step.writer.nodes, known, roots)
    roots += [state.after for state in states]
    return states, live_nodes(network.step.writer.nodes, roots)


def _scan(
    network: Network,
    states: Sequence[StateNames],
    body: Sequence[NodeProto],
    fired: dict[str, str],
) -> NodeProto:
    """Carries the states through the body, which reads one row of every course per step."""
    read = set(free_names(body))
    courses = {name: array for name, array in network.courses.items() if name in read}
    stored = [network.store.add(array, f"{name}s") for name, array in courses.items()]
    graph = helper.make_graph(
        body,
        "time_step",
        [
            *(_untyped(network, state.before, state) for state in states),
            *(_row_info(network, name) for name in courses),
        ],
        [
            *(_untyped(network, state.after, state) for state in states),
            *(helper.make_tensor_value_info(s, TensorProto.INT8, None) for s in fired.values()),
        ],
    )
    fresh = network.store.names.fresh
    outputs = [fresh(f"{state.tensor}.end") for state in states]
    outputs += [network.spikes[site] for site in fired]
    inputs = [*(state.start for state in states), *stored]
    return helper.make_node(
        "Scan", inputs, outputs, "time_steps", body=graph, num_scan_inputs=len(stored)
    )


def _rows(network: Network, body: Sequence[NodeProto], time: str) -> list[NodeProto]:
    """Looks up this step's row of every course that the body reads."""
    read = set(free_names(body))
    return [
        helper.make_node("Gather", [network.store.add(array, f"{name}s"), time], [name], name)
        for name, array in network.courses.items()
        if name in read
    ]


def _held(network: Network, body: Sequence[NodeProto]) -> tuple[list[str], list[NodeProto]]:
    """What a step reads that depends on the network's input, and nodes for what does not."""
    once = network.once.writer.nodes
    data = descendants(once, (info.name for info in network.plan.graph.inputs))
    decoded = _decoded(network, dict.fromkeys(network.step.states, ""))
    read = [*free_names(body), *(name for node in decoded for name in node.input)]
    held = list(dict.fromkeys(name for name in read if name in data))
    return held, live_nodes(once, (name for name in read if name not in data))


def _decoded(network: Network, ends: dict[str, str]) -> list[NodeProto]:
    """The file's outputs, from the names in `ends` where they vary over time."""
    writer = Writer(network.store)
    working = float_type(network.store.dtype)
    for info in network.plan.graph.outputs:
        varies = info.name in network.plan.varying
        value = ends.get(info.name, "") if varies else network.once.value(info.name)
        wanted = _interface(network, info, output=True).type.tensor_type.elem_type
        if wanted in FLOATING and wanted != working:
            value = writer.call("Cast", value, to=wanted)
        writer.nodes.append(helper.make_node("Identity", [value], [info.name], info.name))
    return writer.nodes


def _renamed_spikes(network: Network, fired: dict[str, str]) -> list[NodeProto]:
    return [
        helper.make_node("Identity", [name], [network.spikes[site]], network.spikes[site])
        for site, name in fired.items()
    ]


def _interface(network: Network, info: TensorInfo, output: bool = False) -> ValueInfoProto:
    """An input or output as the file has it; outputs of a float64 export are float64."""
    kind = info.element_type
    if output and kind in FLOATING and network.store.dtype.itemsize == 8:
        kind = TensorProto.DOUBLE
    return helper.make_tensor_value_info(info.name, kind, info.shape)


def _outputs(network: Network) -> list[ValueInfoProto]:
    return [_interface(network, info, output=True) for info in network.plan.graph.outputs]


def _spike_outputs(
    network: Network, fired: Iterable[str], leading: list[int]
) -> list[ValueInfoProto]:
    """Spikes have the shape of the estimates, behind the axes `leading`."""
    outputs = {site.site.name: site.site.output for site in network.plan.sites}
    infos = []
    for site in fired:
        shape = network.once.known.shapes.get(outputs[site])
        if shape is None:
            raise ModelError(
                f"site '{site}': its rank cannot be told from the file; export without --spikes"
            )
        shape = (*leading, *(known_size(size) for size in shape))
        infos.append(helper.make_tensor_value_info(network.spikes[site], TensorProto.INT8, shape))
    return infos


def _untyped(network: Network, name: str, state: StateNames) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, network.element_type(state), None)


def _row_info(network: Network, name: str) -> ValueInfoProto:
    kind = float_type(network.store.typed(network.courses[name]).dtype)
    return helper.make_tensor_value_info(name, kind, None)


def _after(before: ValueInfoProto, name: str) -> ValueInfoProto:
    copy = ValueInfoProto()
    copy.CopyFrom(before)
    copy.name = name
    return copy
