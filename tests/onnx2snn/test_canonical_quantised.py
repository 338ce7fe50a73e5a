"""Quantised models: staircases, float weights; held against onnxruntime on the original."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from small_models import NODE, value
from test_canonical import check, types

from onnx2snn.canonical import CANONICAL_DOMAIN, canonicalise
from onnx2snn.inspection import inspect_model

RNG = np.random.default_rng(0)
KINDS = {
    "uint8": (TensorProto.UINT8, 100),
    "int8": (TensorProto.INT8, -3),
    "uint16": (TensorProto.UINT16, 30000),
    "int16": (TensorProto.INT16, 0),
    "uint4": (TensorProto.UINT4, 7),
    "int4": (TensorProto.INT4, 1),
}


def small(nodes, stored, shape=("N", 4), kind=TensorProto.FLOAT, opset=21, outputs=None):
    tensors = [
        tensor if isinstance(tensor, onnx.TensorProto) else numpy_helper.from_array(tensor, name)
        for name, tensor in stored.items()
    ]
    outputs = outputs or [onnx.ValueInfoProto(name="y")]
    graph = helper.make_graph(nodes, "g", [value("x", *shape, kind=kind)], outputs, tensors)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return onnx.shape_inference.infer_shapes(
        helper.make_model(graph, opset_imports=imports, ir_version=10)
    )


def whole(kind, numbers, name="z"):
    return helper.make_tensor(name, kind, np.shape(numbers), np.reshape(numbers, -1).tolist())


def pair(source="x", result="y", tag="", **attributes):
    return [
        NODE("QuantizeLinear", [source, "s", "z"], [f"q{tag}"], f"q{tag}", **attributes),
        NODE("DequantizeLinear", [f"q{tag}", "s", "z"], [result], f"d{tag}", **attributes),
    ]


def grid(scale=0.05, zero=100, kind=TensorProto.UINT8):
    return {"s": np.float32(scale), "z": whole(kind, zero)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_pair_is_one_staircase(kind):
    model = small(pair(), grid(0.3, KINDS[kind][1], KINDS[kind][0]))
    result = check(model)
    assert types(result) == ["FakeQuantize"] and result.graph.node[0].domain == CANONICAL_DOMAIN
    assert types(check(result)) == ["FakeQuantize"]
    assert inspect_model(model).counts["analog"] == 0


def test_without_zero_point_and_of_half_precision():
    nodes = [NODE("QuantizeLinear", ["x", "s"], ["q"]), NODE("DequantizeLinear", ["q", "s"], ["y"])]
    assert types(check(small(nodes, {"s": np.float32(0.1)}))) == ["FakeQuantize"]
    half = small(nodes, {"s": np.float16(0.125)}, kind=TensorProto.FLOAT16)
    assert types(check(half)) == ["FakeQuantize"]


@pytest.mark.parametrize("axis", [1, -2])
def test_a_scale_per_channel(axis):
    stored = {"s": np.array([0.1, 0.5, 0.02], "f"), "z": whole(TensorProto.UINT8, [3, 128, 200])}
    model = small(pair(axis=axis), stored, ("N", 3, 4))
    assert types(check(model)) == ["FakeQuantize"]


@pytest.mark.parametrize("opset", [10, 13, 19])
def test_old_opsets(opset):
    assert types(check(small(pair(), grid(), opset=opset))) == ["FakeQuantize"]


def test_pairs_of_onnxruntime_s_own_domain():
    nodes = pair()
    for node in nodes:
        node.domain = "com.microsoft"
    assert types(check(small(nodes, grid(0.01, 9, TensorProto.INT16), opset=17))) == [
        "FakeQuantize"
    ]


@pytest.mark.parametrize(
    ("nodes", "wanted"),
    [
        ([NODE("Relu", ["x"], ["r"]), *pair("r")], ["FakeQuantize"]),
        ([NODE("Clip", ["x", "low", "high"], ["r"]), *pair("r")], ["FakeQuantize"]),
        ([*pair(result="r"), NODE("Relu", ["r"], ["y"])], ["FakeQuantize"]),
        ([*pair(result="r"), NODE("Clip", ["r", "low", "high"], ["y"])], ["FakeQuantize"]),
        ([*pair(result="r"), NODE("Clip", ["r", "odd", "high"], ["y"])], ["FakeQuantize", "Clip"]),
        ([*pair(result="r"), *pair("r", tag="2")], ["FakeQuantize"]),
        (
            [
                *pair(result="r"),
                NODE("Transpose", ["r"], ["t"], perm=[1, 0]),
                NODE("Concat", ["t", "t"], ["c"], axis=0),
                *pair("c", tag="2"),
            ],
            ["FakeQuantize", "Transpose", "Concat"],
        ),
        (
            [
                pair()[0],
                NODE("Transpose", ["q"], ["t"], perm=[1, 0]),
                NODE("Pad", ["t", "pads"], ["p"]),
                NODE("DequantizeLinear", ["p", "s", "z"], ["y"]),
            ],
            ["FakeQuantize", "Transpose", "Pad"],
        ),
        (
            [
                pair()[0],
                NODE("Clip", ["q", "lowest", "highest"], ["c"]),
                NODE("DequantizeLinear", ["c", "s", "z"], ["y"]),
            ],
            ["FakeQuantize"],
        ),
        (
            [
                *pair(result="a"),
                NODE("DequantizeLinear", ["q", "s", "z"], ["b"]),
                NODE("Mul", ["a", "b"], ["y"]),
            ],
            ["FakeQuantize", "Mul"],
        ),
    ],
)
def test_what_a_staircase_takes_over(nodes, wanted):
    stored = grid() | {
        "low": np.float32(-1),
        "high": np.float32(2),
        "odd": np.float32(-0.72),
        "pads": np.array([0, 1, 0, 1]),
        "lowest": np.array(90, np.uint8),
        "highest": np.array(120, np.uint8),
    }
    read = {name for node in nodes for name in node.input}
    model = small(nodes, {k: v for k, v in stored.items() if k in read}, (3, 4))
    assert types(check(model)) == wanted


def test_other_scales_on_the_way_back():
    nodes = [pair()[0], NODE("DequantizeLinear", ["q", "s2", "z2"], ["y"])]
    stored = grid() | {"s2": np.float32(0.2), "z2": whole(TensorProto.UINT8, 90, "z2")}
    assert types(check(small(nodes, stored))) == ["FakeQuantize", "Mul", "Add"]


def test_a_scale_that_is_computed_stays_and_is_named():
    nodes = [
        NODE("Exp", ["x"], ["e"]),
        NODE("ReduceMax", ["e"], ["s"], keepdims=0),
        *pair("e"),
    ]
    left = inspect_model(small(nodes, {"z": grid()["z"]})).analog
    assert {node.op_type for node in left} >= {"QuantizeLinear", "DequantizeLinear"}
    assert all(node.reason for node in left)


@pytest.mark.parametrize(
    ("held", "scale", "zero", "attributes"),
    [
        (whole(TensorProto.INT8, RNG.integers(-128, 128, (4, 3)), "q"), [0.1], [3], {}),
        (whole(TensorProto.UINT8, RNG.integers(0, 256, (4, 3)), "q"), [0.1, 0.2, 1], [1, 2, 3], {}),
        (
            whole(TensorProto.INT4, RNG.integers(-8, 8, (4, 3)), "q"),
            [[0.1, 0.2, 1], [3, 0.5, 0.1]],
            [[1, 2, 3], [0, -1, -2]],
            {"axis": 0, "block_size": 2},
        ),
        (whole(TensorProto.INT32, RNG.integers(-9999, 9999, (4, 3)), "q"), [0.1], None, {}),
    ],
)
def test_stored_weights_become_floats(held, scale, zero, attributes):
    stored = {"q": held, "s": np.squeeze(np.array(scale, "f"))}
    if zero is not None:
        stored["z"] = whole(held.data_type, np.squeeze(np.array(zero)))
    names = ["q", "s", *(["z"] if zero is not None else [])]
    nodes = [
        NODE("DequantizeLinear", names, ["w"], "back", **attributes),
        NODE("MatMul", ["x", "w"], ["y"], "product"),
    ]
    result = check(small(nodes, stored))
    assert types(result) == ["MatMul"]
    assert {tensor.data_type for tensor in result.graph.initializer} == {TensorProto.FLOAT}


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
def test_weights_of_few_bits(bits, symmetric):
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    weight = RNG.normal(size=(40, 8)).astype("f")
    model = small([NODE("MatMul", ["x", "w"], ["y"], "m")], {"w": weight}, ("N", 40))
    quantizer = MatMulNBitsQuantizer(model, block_size=16, is_symmetric=symmetric, bits=bits)
    quantizer.process()
    quantised = quantizer.model.model
    assert types(quantised) == ["MatMulNBits"]
    assert types(check(quantised, 1e-4)) == ["MatMul"]


def test_dynamic_range_of_one_sample():
    nodes = [
        NODE("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        NODE("MatMulInteger", ["q", "w", "z"], ["i"]),
        NODE("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
        NODE("Mul", ["s", "c"], ["sc"]),
        NODE("Mul", ["f", "sc"], ["y"]),
    ]
    stored = {"w": RNG.integers(-128, 128, (4, 3)).astype(np.int8), "c": np.float32(0.02)}
    model = small(nodes, stored, (1, 4))
    assert types(check(model)) == ["DynamicFakeQuantize", "MatMul"]
    assert inspect_model(model).counts["spiking"] == 1
    stored["c"] = np.array([0.1, 0.2, 0.3], "f")
    assert types(check(small(nodes, stored, (1, 4)))) == ["DynamicFakeQuantize", "MatMul", "Mul"]


def test_operators_on_integers_with_stored_scales():
    nodes = [
        NODE("QuantizeLinear", ["x", "s", "z"], ["q"]),
        NODE("MatMulInteger", ["q", "w", "z"], ["i"]),
        NODE("Cast", ["i"], ["y"], to=TensorProto.FLOAT),
    ]
    stored = grid() | {"w": RNG.integers(-128, 128, (4, 3)).astype(np.int8)}
    assert types(check(small(nodes, stored))) == ["FakeQuantize", "Mul", "MatMul"]


@pytest.mark.parametrize("op_type", ["DynamicQuantizeMatMul", "MatMulIntegerToFloat"])
def test_onnxruntime_s_fused_products(op_type):
    stored = {
        "w": RNG.integers(-128, 128, (4, 3)).astype(np.int8),
        "c": np.float32(0.02),
        "b": RNG.normal(size=3).astype("f"),
    }
    if op_type == "DynamicQuantizeMatMul":
        nodes = [NODE(op_type, ["x", "w", "c", "", "b"], ["y"], domain="com.microsoft")]
    else:
        operands = ["q", "w", "s", "c", "z", "", "b"]
        nodes = [
            NODE("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
            NODE(op_type, operands, ["y"], domain="com.microsoft"),
        ]
    found = types(check(small(nodes, stored, (1, 4))))
    assert found == ["DynamicFakeQuantize", "MatMul", "Add"] or found[-1] == "Gemm"


def test_a_choice_between_quantised_tensors():
    operands = ["mask", "q", "s", "z", "k", "s2", "z", "s3", "z"]
    nodes = [
        pair()[0],
        NODE("QLinearWhere", operands, ["w"], domain="com.microsoft"),
        NODE("DequantizeLinear", ["w", "s3", "z"], ["y"]),
    ]
    stored = grid() | {
        "mask": np.array([True, False, True, True]),
        "k": np.array([1, 2, 3, 255], np.uint8),
        "s2": np.float32(0.01),
        "s3": np.float32(0.06),
    }
    assert types(check(small(nodes, stored))) == ["FakeQuantize", "Where", "FakeQuantize"]


def test_a_quantised_output_is_a_readout():
    nodes = [NODE("Exp", ["x"], ["e"]), pair("e")[0]]
    model = small(nodes, grid(), outputs=[onnx.ValueInfoProto(name="q")])
    roles = {node.op_type: node.role for node in inspect_model(model).nodes}
    assert roles == {"Exp": "spiking", "QuantizeLinear": "readout"}
    assert types(canonicalise(model)) == ["Exp", "QuantizeLinear"]
