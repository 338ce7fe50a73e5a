"""From any opset to the target one: onnx.version_converter, and what it gets wrong."""

from __future__ import annotations

import onnx
from onnx import helper, version_converter

from onnx2snn.ops.errors import ModelError

TARGET_OPSET = 20
_MINIMAL_IR = 8


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the default domain that a model declares."""
    return max((entry.version for entry in model.opset_import if not entry.domain), default=0)


def upgrade(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model in opset max(its own, TARGET_OPSET); names of tensors are kept.

    The converter reads Resize before opset 11 (and Upsample) as if it had been defined with
    half_pixel coordinates, and leaves Hardmax over several axes and batched Scan as they
    were: the former is mended here, the others refused.
    """
    model.ir_version = max(model.ir_version, _MINIMAL_IR)
    source = opset_of(model)
    if source >= TARGET_OPSET:
        return model
    _refuse(model, source)
    resized = _resized_before_11(model, source)
    try:
        converted = version_converter.convert_version(model, TARGET_OPSET)
    except (RuntimeError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"opset {source} cannot be upgraded to {TARGET_OPSET}: {reason}; "
            f"export the model with opset {TARGET_OPSET}"
        ) from error
    _set_asymmetric(converted, resized)
    converted.ir_version = model.ir_version
    return converted


def _refuse(model: onnx.ModelProto, source: int) -> None:
    """Operators that changed their meaning, which the converter leaves as they were."""
    for node in model.graph.node:
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        inner_hardmax = source < 13 and node.op_type == "Hardmax" and axis != -1
        batched_scan = source < 9 and node.op_type == "Scan"
        if not node.domain and (inner_hardmax or batched_scan):
            since = 13 if inner_hardmax else 9
            raise ModelError(
                f"node {node.name!r}: {node.op_type} of opset {source} has no newer form; "
                f"export the model with opset {since} or newer"
            )


def _resized_before_11(model: onnx.ModelProto, source: int) -> set[str]:
    """The tensors written by Upsample, and by Resize where it meant asymmetric sampling."""
    return {
        node.output[0]
        for node in model.graph.node
        if not node.domain
        and (node.op_type == "Upsample" or (node.op_type == "Resize" and source < 11))
    }


def _set_asymmetric(model: onnx.ModelProto, resized: set[str]) -> None:
    modes = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    for node in model.graph.node:
        if node.op_type == "Resize" and node.output[0] in resized:
            kept = [attribute for attribute in node.attribute if attribute.name not in modes]
            modern = [helper.make_attribute(key, value) for key, value in modes.items()]
            del node.attribute[:]
            node.attribute.extend([*kept, *modern])
