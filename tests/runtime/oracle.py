"""An independent interpreter of spiking files: values instead of increments, in numpy.

At every step it evaluates each affine or analog node anew, by onnx.reference in float64, on the
estimates v(t) that the sites have come to, and runs the neurons by METHOD's equations. Nothing
here is shared with the runtime but the list of sites and nodes that an operator lowers to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnx2snn.ops import BY_OP_TYPE, DOMAIN
from onnx2snn.ops.lowering import Site
from onnx2snn.ops.node import Node
from onnx2snn.runtime.graph import read_node

Array = NDArray[Any]
Values = dict[str, Array]


def _widened(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _gelu(x: Array) -> Array:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def _normalised(axes: tuple[int, ...], epsilon: float) -> Callable[[Array], Array]:
    return lambda x: (
        (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)
    )


def _softmax(axis: int) -> Callable[[Array], Array]:
    def shares(x: Array) -> Array:
        powers = np.exp(x - x.max(axis, keepdims=True))
        return np.asarray(powers / powers.sum(axis, keepdims=True))

    return shares


def _target(site: Site, attributes: Mapping[str, Any]) -> Callable[..., Array]:
    """The site's function, without what passes by its neurons."""
    if site.target.remainder is None:
        return _function(site.target.name, attributes)
    name, slope = site.target.remainder.whole.name, attributes["passing"]
    whole = _function(name, attributes)
    return lambda x: whole(x) - slope * _linear_part(name, x, attributes)


def _linear_part(name: str, x: Array, attributes: Mapping[str, Any]) -> Array:
    if name.startswith("layer_normalization"):
        return np.asarray(x - x.mean(tuple(range(attributes.get("axis", -1), 0)), keepdims=True))
    if name != "largest in a window":
        return x
    rank = len(attributes["kernel_shape"])
    pads = attributes.get("pads") or [0] * (2 * rank)
    sides = list(zip(pads[:rank], pads[rank:], strict=True))
    padded = np.pad(x, [(0, 0)] * (x.ndim - rank) + sides, mode="edge")
    return _pooled("AveragePool", padded, {**attributes, "pads": None})


def _function(name: str, attributes: Mapping[str, Any]) -> Callable[..., Array]:
    epsilon = attributes.get("epsilon", 1e-5)
    if name.startswith("layer_normalization"):
        return _normalised(tuple(range(attributes.get("axis", -1), 0)), epsilon)
    softmax = _softmax(attributes.get("axis", -1))
    return {
        f"softmax(axis={attributes.get('axis', -1)})": softmax,
        f"log_softmax(axis={attributes.get('axis', -1)})": lambda x: np.log(softmax(x)),
        "relu": lambda x: np.where(x > 0, x, 0.0),
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "tanh": np.tanh,
        "maximum": np.maximum,
        "largest": lambda *x: np.maximum.reduce([*x, np.full_like(x[0], attributes["floor"])]),
        "largest in a window": lambda x: np.maximum(
            _pooled("MaxPool", x, attributes), attributes["floor"]
        ),
        "square": lambda x: x * x,
        "gelu(approximate=none)": _gelu,
        f"x1/sqrt(x2+{epsilon:g})": lambda a, b: a / np.sqrt(np.maximum(b, 0) + epsilon),
    }[name]


def _pooled(kind: str, x: Array, attributes: Mapping[str, Any]) -> Array:
    names = ("kernel_shape", "strides", "pads")
    known = {name: attributes[name] for name in names if attributes.get(name)}
    (result,) = ReferenceEvaluator(helper.make_node(kind, ["x"], ["y"], **known)).run(
        None, {"x": x}
    )
    return np.asarray(result)


def _window(x: Array, geometry: Mapping[str, Any]) -> Array:
    """Members of pooling windows along one axis; explicit padding only."""
    axis, size = geometry["axis"], x.shape[geometry["axis"]]
    (before, after), stride = geometry["pads"], geometry["stride"]
    reach = geometry["dilation"] * (geometry["kernel"] - 1) + 1
    count = (size + before + after - reach) // stride + 1
    assert geometry["auto_pad"] == "NOTSET" and not geometry["ceil_mode"]
    assert geometry["dilation"] == 1
    places = [i * stride + m - before for m in geometry["members"] for i in range(count)]
    return np.take(x, np.clip(places, 0, size - 1), axis=axis)


class Oracle:
    """A spiking model, simulated step by step; `values` holds every tensor after a step."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = model.graph
        self._constants: Values = {}
        for tensor in model.graph.initializer:
            self._constants[tensor.name] = _widened(numpy_helper.to_array(tensor))
        self._steps: list[tuple[Node | Site, dict[str, str], str, Mapping[str, Any]]] = []
        for proto in model.graph.node:
            self._add(read_node(proto))
        self._evaluators: dict[str, ReferenceEvaluator] = {}
        self.values: Values = {}
        self.estimates: Values = {}
        self.spikes: dict[str, int] = {}

    def _add(self, node: Node) -> None:
        if node.domain != DOMAIN:
            self._steps.append((node, {}, "", {}))
            return
        record = BY_OP_TYPE[node.op_type]
        lowered, parameters = record.lower(node), iter(record.parameters(node))
        self._constants.update({n: _widened(a) for n, a in lowered.constants.items()})
        spikes = str(node.attributes.get("spikes", "binary"))
        for step in lowered.steps:
            names = next(parameters) if isinstance(step, Site) else {}
            self._steps.append((step, names, spikes, node.attributes))

    def start(self, feed: Mapping[str, Array]) -> Values:
        """The tensors at t = 0, where every site stands at v(0)."""
        self.estimates, self.spikes, self._time = {}, {}, 0
        self._feed = {
            k: a.astype(np.float64) if a.dtype.kind == "f" else a for k, a in feed.items()
        }
        return self._pass()

    def step(self) -> Values:
        """The tensors one time step later."""
        self._time += 1
        return self._pass()

    def _pass(self) -> Values:
        self.values = {**self._constants, **self._feed}
        for step, names, spikes, attributes in self._steps:
            if isinstance(step, Site):
                self._fire(step, names, spikes, attributes)
            else:
                inputs = [self.values[name] if name else None for name in step.inputs]
                self.values.update(zip(step.outputs, self._evaluate(step, inputs), strict=True))
        return self.values

    def _fire(
        self, site: Site, names: dict[str, str], alphabet: str, attributes: Mapping[str, Any]
    ) -> None:
        f = _target(site, attributes)(*(self.values[name] for name in site.operands))
        scale, initial, step_sizes, thresholds = (
            self._constants[names[key]] for key in ("scale", "initial", "step_sizes", "thresholds")
        )
        if self._time == 0:
            self.estimates[site.name] = np.broadcast_to(initial, f.shape)
            self.spikes[site.name] = 0
        else:
            v, eta = self.estimates[site.name], scale * step_sizes[self._time - 1]
            f = f + scale * thresholds[self._time - 1]
            if alphabet == "binary":
                sigma = np.where(v >= f, 1.0, -1.0)
                self.spikes[site.name] += int((v >= f).sum())
            else:
                sigma = np.sign(v - f) * (np.abs(v - f) > eta / 2)
                self.spikes[site.name] += int(np.abs(sigma).sum())
            self.estimates[site.name] = v - eta * sigma
        self.values[site.output] = self.estimates[site.name]

    def _evaluate(self, node: Node, inputs: list[Array | None]) -> list[Array]:
        if node.op_type == "Window":
            (x,) = inputs
            assert x is not None
            return [_window(x, node.attributes)]
        if node.name not in self._evaluators:
            proto = helper.make_node(
                node.op_type,
                [f"i{n}" if name else "" for n, name in enumerate(node.inputs)],
                [f"o{n}" for n in range(len(node.outputs))],
                **node.attributes,
            )
            self._evaluators[node.name] = ReferenceEvaluator(proto)
        feed = {f"i{n}": a for n, a in enumerate(inputs) if a is not None}
        results = self._evaluators[node.name].run(None, feed)
        return [np.asarray(result) for result in results]
