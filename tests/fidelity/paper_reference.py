"""An interpreter of the paper's neurons on decoded values, in float64, for small ONNX models.

Written from golden/README.md: at every step each linear node is evaluated anew, by
onnx.reference, on the estimates that the sites have come to. Shares nothing with the package.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

Array = np.ndarray[Any, Any]
Fires = Callable[[Array, Array], Array]
SMALLEST = 1e-5


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _gelu(x: Array) -> Array:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


class PaperNetwork:
    """One simulation after another of an ONNX model whose nonlinear nodes are sites."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self.weights: dict[str, Array] = {}
        for tensor in model.graph.initializer:
            array = numpy_helper.to_array(tensor)
            self.weights[tensor.name] = array.astype(np.float64) if array.dtype == "f" else array
        self.scales: dict[str, Array] = {}
        self._linear: dict[str, ReferenceEvaluator] = {}

    def calibrate(self, x: Array) -> None:
        """The largest output of every ReLU's neurons."""
        values = self._ann(x.astype(np.float64))
        for node in self.graph.node:
            if node.op_type == "Relu":
                peak = values[node.output[0]].max(axis=0)
                self.scales[node.name] = np.where(peak <= SMALLEST, 1.0, peak)

    def _ann(self, x: Array) -> dict[str, Array]:
        values = {**self.weights, self.graph.input[0].name: x}
        for node in self.graph.node:
            if node.op_type == "Gelu":
                values[node.output[0]] = _gelu(values[node.input[0]])
            else:
                values[node.output[0]] = self._apply(node, values)
        return values

    def _apply(self, node: onnx.NodeProto, values: dict[str, Array]) -> Array:
        if node.name not in self._linear:
            self._linear[node.name] = ReferenceEvaluator(node)
        feed = {name: values[name] for name in node.input if name}
        return np.asarray(self._linear[node.name].run(None, feed)[0])

    def run(self, x: Array, steps: Sequence[float]) -> tuple[list[Array], list[list[Array]]]:
        """Outputs after every step, and the spikes of every site in order."""
        self.estimates: dict[str, Array] = {}
        current = np.zeros(x.shape)
        outputs, fired = [], []
        for eta in steps:
            current = current - eta * (current - x)
            self.eta, self.fired = eta, []
            values = {**self.weights, self.graph.input[0].name: current}
            for node in self.graph.node:
                site = getattr(self, f"_{node.op_type.lower()}", None)
                values[node.output[0]] = (
                    self._apply(node, values)
                    if site is None
                    else site(node, *(values[name] for name in node.input if name))
                )
            outputs.append(values[self.graph.output[0].name])
            fired.append(self.fired)
        return outputs, fired

    def _neurons(self, name: str, shape: tuple[int, ...], fires: Callable[[Array], Array]) -> Array:
        v = self.estimates.get(name, np.zeros(shape))
        s = fires(v)
        self.fired.append(s)
        self.estimates[name] = v - self.eta * (2.0 * s - 1.0)
        return self.estimates[name]

    def _relu(self, node: onnx.NodeProto, x: Array) -> Array:
        scale = self.scales[node.name]
        unit = np.maximum(x, 0.0) / scale
        return self._neurons(node.name, x.shape, lambda v: v >= unit) * scale

    def _leakyrelu(self, node: onnx.NodeProto, x: Array) -> Array:
        alpha = round(_attributes(node)["alpha"], 6)
        return self._neurons(node.name, x.shape, lambda v: v > np.where(x > 0, x, alpha * x))

    def _gelu(self, node: onnx.NodeProto, x: Array) -> Array:
        return self._neurons(node.name, x.shape, lambda v: v > x / (1 + np.exp(-1.702 * x)))

    def _layernormalization(
        self, node: onnx.NodeProto, x: Array, gain: Array, bias: Array
    ) -> Array:
        epsilon = round(_attributes(node)["epsilon"], 9)
        c = x - x.mean(axis=-1, keepdims=True)
        q = self._neurons(f"{node.name}/q", c.shape, lambda v: v >= c * c)
        with np.errstate(invalid="ignore"):
            deviation = np.sqrt(q.mean(axis=-1, keepdims=True) + epsilon)
        z = self._neurons(f"{node.name}/z", c.shape, lambda v: deviation * v > c)
        return gain * z + bias

    def _maxpool(self, node: onnx.NodeProto, x: Array) -> Array:
        given = _attributes(node)
        kernel, strides = given["kernel_shape"], given.get("strides", [1, 1])
        pads = given.get("pads", [0, 0, 0, 0])
        around = [(0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])]
        y = np.pad(x, around, constant_values=-200.0)
        for axis in (2, 3):
            y = self._chain(f"{node.name}/{axis}", y, axis, kernel[axis - 2], strides[axis - 2])
        return y

    def _chain(self, name: str, x: Array, axis: int, kernel: int, stride: int) -> Array:
        def member(i: int) -> Array:
            rest = (slice(None),) * axis
            return np.asarray(x[(*rest, slice(i, None, stride))])

        y = member(0)
        for i in range(1, kernel):
            other = member(i)
            y = np.take(y, range(other.shape[axis]), axis)
            larger = np.maximum(y, other)
            y = self._neurons(f"{name}/{i}", larger.shape, lambda v, f=larger: v > f)  # type: ignore[misc]
        return y
