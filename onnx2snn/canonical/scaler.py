"""Scaler of ai.onnx.ml (version 1), by which scikit-learn's scalers are exported, as arithmetic.

y = (x - offset) * scale, in float32 whatever the type of x; offset and scale hold a value for
each feature of [N, C], or one for all.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from onnx2snn.canonical.editor import Editor
from onnx2snn.canonical.graph import Pass, each_node


def _as_arithmetic(graph: gs.Graph, node: gs.Node) -> bool:
    if node.op != "Scaler" or node.domain != "ai.onnx.ml":
        return False
    make = Editor(graph, node)
    offset, scale = (
        make.store(name, np.asarray(node.attrs.get(name) or [neutral], np.float32))
        for name, neutral in (("offset", 0.0), ("scale", 1.0))
    )
    value = make.add("Cast", node.inputs[0], to=onnx.TensorProto.FLOAT)
    return make.finish("Mul", make.add("Sub", value, offset), scale)


SCALER_AS_ARITHMETIC = Pass(
    name="scaler-as-arithmetic",
    requires="nothing",
    ensures="no Scaler of ai.onnx.ml",
    run=each_node(_as_arithmetic),
)
