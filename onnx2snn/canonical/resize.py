"""Resize to stored sizes names the axes it resizes, so that the size of the batch stays open."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from onnx2snn.canonical.editor import Editor
from onnx2snn.canonical.graph import Pass, each_node, integers, is_op, operand


def _name_axes(graph: gs.Graph, node: gs.Node) -> bool:
    """Resize(x, sizes) without those axes that keep their size."""
    if not is_op(node, "Resize") or "axes" in node.attrs or operand(node, 3) is None:
        return False
    shape, sizes = node.inputs[0].shape, integers(node, 3, "sizes")
    cropped = node.attrs.get("coordinate_transformation_mode") == "tf_crop_and_resize"
    fitted = node.attrs.get("keep_aspect_ratio_policy", "stretch") != "stretch"
    if shape is None or sizes is None or len(shape) != len(sizes) or cropped or fitted:
        return False
    axes = [i for i, (old, new) in enumerate(zip(shape, sizes, strict=True)) if old != new]
    if not axes or len(axes) == len(sizes):
        return False
    node.attrs["axes"] = axes
    node.inputs[3] = Editor(graph, node).integers("sizes", *(sizes[i] for i in axes))
    return True


RESIZE_AXES = Pass(
    name="resize-axes",
    requires="shapes inferred, constants folded",
    ensures="stored sizes of a Resize are those of the axes that change",
    run=each_node(_name_axes),
)
