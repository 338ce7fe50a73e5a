"""Constant folding: what depends on stored tensors alone is computed once, by onnxruntime.

graphsurgeon's own folding turns float Constants to float64, ignores the start and end of
Shape and folds random generators, hence this one: node by node, with the operands fed
rather than serialised, and nothing evaluated that would grow the model.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnxruntime as ort

from onnx2snn.canonical.graph import Array, Pass, constant, is_constant, is_op, is_output

_LARGE = 1 << 20
_GROWING = (
    *("ConstantOfShape", "Expand", "Tile", "Range", "EyeLike", "OneHot", "Pad", "Resize"),
    *("Upsample", "Col2Im", "CenterCropPad", "MelWeightMatrix"),
)
_NEVER = (
    *("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli"),
    *("Multinomial", "DequantizeLinear", "Identity"),
)


def _run(graph: gs.Graph) -> bool:
    changed = False
    for node in list(graph.nodes):
        if _foldable(graph, node):
            changed |= _fold(graph, node)
    return changed


def _foldable(graph: gs.Graph, node: gs.Node) -> bool:
    """Stored operands, no sub-graph, no chance, no output of the graph, no growth."""
    operands = [tensor for tensor in node.inputs if not tensor.is_empty()]
    if not all(map(is_constant, operands)) or any(is_output(graph, t) for t in node.outputs):
        return False
    if node.domain not in (None, "") or is_op(node, *_NEVER) or list(node.subgraphs()):
        return False
    if not operands and not is_op(node, "ConstantOfShape", "Range", "EyeLike"):
        return False
    return not (is_op(node, *_GROWING) and _size(node) > _LARGE) and _size(node) <= max(
        _LARGE, 2 * sum(int(np.prod(tensor.shape)) for tensor in operands)
    )


def _size(node: gs.Node) -> int:
    """Elements the node writes; for growing operators without a shape, too many."""
    total = 0
    for tensor in node.outputs:
        if tensor.shape is not None and all(isinstance(dim, int) for dim in tensor.shape):
            total += int(np.prod(tensor.shape))
        elif is_op(node, *_GROWING):
            total += _LARGE + 1
    return total


def _fold(graph: gs.Graph, node: gs.Node) -> bool:
    feed = {t.name: constant(t) for t in node.inputs if not t.is_empty()}
    results = _transposed(node) or _evaluated(graph, node, feed)
    if results is None:
        return False
    for tensor, value in zip([t for t in node.outputs if not t.is_empty()], results, strict=True):
        tensor.inputs.clear()
        tensor.to_constant(np.asarray(value))
    return True


def _transposed(node: gs.Node) -> list[Array] | None:
    """y = transpose(x) by numpy: it saves two copies of the largest weights."""
    held = constant(node.inputs[0]) if is_op(node, "Transpose") else None
    return None if held is None else [np.ascontiguousarray(held.transpose(node.attrs.get("perm")))]


def _evaluated(graph: gs.Graph, node: gs.Node, feed: dict[str, Array | None]) -> list[Array] | None:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(
            _alone(graph, node).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        results: list[Array] = session.run(None, feed)
    except Exception:  # onnxruntime raises a class per status; whatever it was, we leave the node
        return None
    return results


def _alone(graph: gs.Graph, node: gs.Node) -> onnx.ModelProto:
    """A model of this one node, whose operands are inputs."""
    operands = {t.name: gs.Variable(t.name, t.dtype, list(t.shape or [])) for t in node.inputs}
    results = [gs.Variable(tensor.name) for tensor in node.outputs]
    copy = gs.Node(
        node.op,
        attrs=dict(node.attrs),
        inputs=[operands[tensor.name] for tensor in node.inputs],
        outputs=results,
    )
    single = gs.Graph(
        [copy],
        [tensor for name, tensor in operands.items() if name],
        [tensor for tensor in results if not tensor.is_empty()],
        opset=graph.opset,
        ir_version=graph.ir_version,
    )
    model: onnx.ModelProto = gs.export_onnx(single, do_type_check=False)
    return model


FOLD_CONSTANTS = Pass(
    name="fold-constants",
    requires="shapes inferred",
    ensures="no node reads stored tensors alone, unless its result is large, random or an output",
    run=_run,
)
