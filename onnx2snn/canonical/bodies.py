"""The operators of the canonical form that the standard lacks, with bodies any runtime executes."""

from __future__ import annotations

import onnx
from onnx import helper

from onnx2snn.canonical.swish import CANONICAL_VERSION
from onnx2snn.canonical.upgrade import opset_of
from onnx2snn.ops import BY_SOURCE
from onnx2snn.ops.schema import CANONICAL_DOMAIN, source_function


def add_functions(model: onnx.ModelProto) -> None:
    """Give `model` the domain and function bodies its canonical nodes need, in place."""
    used = {node.op_type for node in model.graph.node if node.domain == CANONICAL_DOMAIN}
    if not used:
        return
    if not any(entry.domain == CANONICAL_DOMAIN for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid(CANONICAL_DOMAIN, CANONICAL_VERSION))
    opset = opset_of(model)
    model.functions.extend(source_function(BY_SOURCE[op_type], opset) for op_type in sorted(used))
