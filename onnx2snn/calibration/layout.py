"""Which axis of a tensor is its channel axis, followed through the graph."""

from __future__ import annotations

from dataclasses import dataclass, field

from onnx2snn.ops.node import Node
from onnx2snn.runtime.plan import ConstantStep, DifferenceStep, LinearStep, SiteStep, Step

_CONVOLUTIONAL = frozenset(
    {"Conv", "ConvTranspose", "BatchNormalization", "AveragePool", "GlobalAveragePool"}
)
_FORGETTING = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"})


@dataclass
class ChannelAxes:
    """Channel axis per tensor, counted from the last axis; tensors unknown are left out.

    The axis that a weight wrote (the outputs of a convolution or matrix product) is the one
    along which neurons differ most in range; operators without weights pass it on.
    """

    axes: dict[str, int] = field(default_factory=dict)

    def follow(self, step: Step, rank: int) -> None:
        """Record the channel axis of the step's results, which have `rank` axes."""
        if isinstance(step, SiteStep):
            self._pass_on(step.site.operands, (step.site.output,))
            return
        node = step.node
        varying = step.varying if isinstance(step, LinearStep | DifferenceStep) else frozenset()
        if node.op_type in _CONVOLUTIONAL:
            self._set(node, 1 - rank)
        elif node.op_type in ("Gemm", "MatMul"):
            weight_first = 0 not in varying and not isinstance(step, ConstantStep)
            self._set(node, -2 if weight_first and node.op_type == "MatMul" else -1)
        elif node.op_type == "Transpose":
            self._transpose(node, rank)
        elif node.op_type not in _FORGETTING:
            self._pass_on(node.inputs, node.outputs)

    def of(self, tensor: str, rank: int) -> int | None:
        """Channel axis of `tensor`, counted from the last; None if it has none."""
        if rank < 2:
            return None
        axis = self.axes.get(tensor, -1)
        return axis if axis > -rank else -1

    def _set(self, node: Node, axis: int) -> None:
        self.axes[node.outputs[0]] = axis

    def _pass_on(self, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        known = next((self.axes[name] for name in inputs if name in self.axes), None)
        if known is not None:
            self.axes.update(dict.fromkeys(outputs, known))

    def _transpose(self, node: Node, rank: int) -> None:
        axis = self.axes.get(node.inputs[0])
        if axis is not None:
            order = node.attributes.get("perm") or list(range(rank))[::-1]
            self._set(node, list(order).index(axis + rank) - rank)
