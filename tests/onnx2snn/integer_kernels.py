"""Whether onnxruntime's integer kernels are exact on this processor."""

from functools import cache

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper


@cache
def integer_sums_are_exact() -> bool:
    """Without VNNI, x86 kernels add products of unsigned and signed bytes in 16 bits."""
    x = np.full((4, 64), 255, np.uint8)
    weights = onnx.numpy_helper.from_array(np.full((64, 16), 127, np.int8), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "w"], ["y"])],
        "sums",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [4, 16])],
        [weights],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return bool((session.run(None, {"x": x})[0] == 255 * 127 * 64).all())


def skip_where_integers_saturate() -> None:
    """Skip the running test where onnxruntime is no oracle for integer sums."""
    if not integer_sums_are_exact():
        pytest.skip("onnxruntime's integer kernels saturate on this processor (no VNNI)")
