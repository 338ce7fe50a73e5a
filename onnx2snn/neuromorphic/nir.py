"""NIR, the neuromorphic intermediate representation (Pedersen et al., 2024), of IF and LIF.

A spike of the file weighs Theta; one of NIR weighs 1, so Theta goes into the weights behind it.
Membranes are in units of the threshold. One unit of time is one time step:

    IF:   dw/dt = R I,             threshold 1,            R = gain / Theta
    LIF:  tau dw/dt = w_leak - w + R I,  w_leak = threshold = 1 / (tau - 1)

A neuron that fires falls by its threshold (metadata "reset": "subtract"), for which the equations
of NIR, which set the membrane to v_reset, have no word. Outputs are currents: the network's
answer is their mean over time, for LIF one with weights (1 - 1/tau)^(T - t).
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from onnx2snn.neuromorphic.layers import LAYERS, CannotExpressError, Context
from onnx2snn.neuromorphic.signal import ONE, Array, Signal
from onnx2snn.ops import DOMAIN
from onnx2snn.ops.errors import ModelError, UsageError
from onnx2snn.ops.node import Node
from onnx2snn.ops.operator import INTEGRATING
from onnx2snn.runtime import SpikingSession
from onnx2snn.runtime.plan import Plan
from onnx2snn.runtime.state import Parameters


def _package() -> Any:
    try:
        import nir
    except ImportError as error:
        raise UsageError(
            "export to NIR needs the nir package: pip install onnx2snn[nir]"
        ) from error
    return nir


def to_nir(model: str | Path | onnx.ModelProto) -> Any:
    """The `nir.NIRGraph` of a spiking file of IF or LIF neurons.

    Raises ModelError, naming the node, for what NIR cannot express, UsageError where the package
    nir is missing.
    """
    nir = _package()
    session = SpikingSession(model, device="cpu", precision="float64")
    if not session.plan.sites:
        raise ModelError("the model holds no spiking neurons; run `onnx2snn convert` on it first")
    return _Builder(nir, session).build()


def nir_bytes(model: str | Path | onnx.ModelProto) -> bytes:
    """The graph as an HDF5 file's bytes, which `nir.read` reads."""
    stream = io.BytesIO()
    _package().write(stream, to_nir(model))
    return stream.getvalue()


@dataclass
class _Builder:
    nir: Any
    session: SpikingSession
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    signals: dict[str, Signal] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        return self.session.plan

    def build(self) -> Any:
        graph, context = self.plan.graph, Context(self.nir, self.add, self.array)
        for info in graph.inputs:
            shape = (info.shape or ())[1:]
            if not shape or not all(isinstance(size, int) for size in shape):
                raise ModelError(f"input '{info.name}' has an open shape; NIR needs fixed sizes")
            fixed = tuple(int(size) for size in shape if isinstance(size, int))
            layer = self.nir.Input({"input": np.array(fixed)})
            self.signals[info.name] = Signal((self.add(info.name, layer, []),), fixed)
        for node in graph.nodes:
            try:
                self._node(node, context)
            except CannotExpressError as error:
                raise ModelError(
                    f"node '{node.name}' ({node.op_type}) cannot be expressed in NIR: {error}"
                ) from error
        for info in graph.outputs:
            x = self._unscaled(info.name, self.signals[info.name])
            self.add(info.name, self.nir.Output({"output": np.array(x.shape)}), [x])
        metadata = {"reset": "subtract", "time_steps": str(self.session.time_steps)}
        return self.nir.NIRGraph(self.nodes, self.edges, metadata=metadata, type_check=False)

    def add(self, name: str, layer: Any, feeds: Sequence[Signal]) -> str:
        """Add a node under a name that HDF5 and PyTorch take, with the ONNX node's beside it."""
        plain = re.sub(r"\W", "_", name).strip("_") or "node"
        unique, count = plain, 1
        while unique in self.nodes:
            count += 1
            unique = f"{plain}_{count}"
        layer.metadata = {**layer.metadata, "source": name}
        self.nodes[unique] = layer
        self.edges.extend((source, unique) for x in feeds for source in x.sources)
        return unique

    def array(self, name: str) -> Array:
        if name not in self.plan.constants:
            raise CannotExpressError(f"'{name}' is computed, not stored")
        return np.asarray(self.plan.constants[name])

    def _node(self, node: Node, context: Context) -> None:
        if all(name in self.plan.constants for name in node.inputs if name):
            raise CannotExpressError("its operands are all constant")
        if node.domain == DOMAIN:
            self.signals[node.outputs[0]] = self._neurons(node)
            return
        if node.op_type == "Add":
            self.signals[node.outputs[0]] = self._sum(node)
            return
        layer = None if node.domain else LAYERS.get(node.op_type)
        if layer is None:
            raise CannotExpressError("NIR has no such node")
        self.signals[node.outputs[0]] = layer(node, self._signal(node.inputs[0]), context)

    def _signal(self, name: str) -> Signal:
        if name not in self.signals:
            raise CannotExpressError(f"its operand '{name}' is no signal")
        return self.signals[name]

    def _sum(self, node: Node) -> Signal:
        """NIR adds whatever arrives at a node."""
        parts = [self._signal(name) for name in node.inputs]
        if len({part.shape for part in parts}) > 1:
            raise CannotExpressError("its operands differ in shape")
        if any(part.gain is not parts[0].gain for part in parts):
            parts = [self._unscaled(f"{node.name}/{i}", part) for i, part in enumerate(parts)]
        sources = [source for part in parts for source in part.sources]
        if len(set(sources)) < len(sources):
            raise CannotExpressError("it adds a signal to itself")
        return Signal(tuple(sources), parts[0].shape, parts[0].gain)

    def _unscaled(self, name: str, x: Signal) -> Signal:
        """The signal with its gain made a node."""
        if x.gain is ONE:
            return x
        scale = np.array(np.broadcast_to(x.gain, x.shape))
        return Signal((self.add(f"{name}/scale", self.nir.Scale(scale), [x]),), x.shape)

    def _neurons(self, node: Node) -> Signal:
        (site,) = (step for step in self.plan.sites if step.source.name == node.name)
        if site.dynamics not in INTEGRATING:
            raise CannotExpressError(
                "NIR has integrate-and-fire neurons only; convert with --dynamics if or lif"
            )
        if site.site.coding:
            raise CannotExpressError("random input spikes are no part of it; use --input direct")
        x, parameters = self._signal(node.inputs[0]), self.session.parameters[site.site.name]
        theta = parameters.step_sizes[0].numpy()
        resistance = np.array(np.broadcast_to(x.gain / theta, x.shape))
        layer = self._layer(site.dynamics, resistance, parameters)
        return Signal((self.add(node.name, layer, [x]),), x.shape, theta)

    def _layer(self, dynamics: str, resistance: Array, parameters: Parameters) -> Any:
        ones, rates, theta = np.ones_like(resistance), parameters.rates, parameters.step_sizes[0]
        assert rates is not None
        if not bool((parameters.thresholds[0] == theta).all()):
            raise CannotExpressError("its membrane starts above 0; convert with --membrane 0")
        nothing, reset = np.zeros_like(ones), {"reset": "subtract"}
        if dynamics == "if":
            return self.nir.IF(resistance, ones, nothing, metadata=reset)
        if len(rates) < 2:
            raise CannotExpressError("a file of one time step does not tell its time constant")
        tau = 1 / (2 - 1 / float(rates[1].reshape(-1)[0]))
        threshold = ones / (tau - 1)
        return self.nir.LIF(
            tau * ones, resistance, threshold, threshold.copy(), nothing, metadata=reset
        )
