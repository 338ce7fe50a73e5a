"""Gemm and MatMul, batch normalisation folded, onnxruntime's own operators."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_canonical import check, text, types, unshaped

from onnx2snn.canonical import CANONICAL_DOMAIN, canonicalise

RNG = np.random.default_rng(3)


def network(nodes, weights, shape, opset=17, domains=()):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in weights.items()],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    return unshaped(model) if not domains else model


def normal(*shape):
    return RNG.normal(size=shape).astype("f")


def batch_norm(channels):
    return {
        "g": normal(channels),
        "b": normal(channels),
        "m": normal(channels),
        "v": RNG.uniform(0.5, 2, channels).astype("f"),
    }


BN = helper.make_node("BatchNormalization", ["a", "g", "b", "m", "v"], ["y"], "bn", epsilon=1e-3)
NODE = helper.make_node
FOLDED = [
    ("Conv", NODE("Conv", ["x", "w"], ["a"]), {"w": normal(4, 3, 3, 3)}, [2, 3, 5, 5]),
    (
        "Conv",
        NODE("Conv", ["x", "w", "k"], ["a"], group=2),
        {"w": normal(4, 2, 3, 3), "k": normal(4)},
        [2, 4, 5, 5],
    ),
    ("Conv", NODE("Conv", ["x", "w"], ["a"]), {"w": normal(4, 3, 3)}, [2, 3, 5]),
    (
        "ConvTranspose",
        NODE("ConvTranspose", ["x", "w"], ["a"]),
        {"w": normal(3, 4, 3, 3)},
        [2, 3, 5, 5],
    ),
    (
        "ConvTranspose",
        NODE("ConvTranspose", ["x", "w", "k"], ["a"], group=2),
        {"w": normal(6, 2, 3, 3), "k": normal(4)},
        [2, 6, 5, 5],
    ),
    (
        "Gemm",
        NODE("Gemm", ["x", "w", "k"], ["a"], transB=1),
        {"w": normal(4, 3), "k": normal(4)},
        [2, 3],
    ),
    (
        "Gemm",
        NODE("Gemm", ["x", "w", "k"], ["a"], alpha=0.5, beta=2.0),
        {"w": normal(3, 4), "k": normal(4)},
        [2, 3],
    ),
    ("Gemm", NODE("MatMul", ["x", "w"], ["a"]), {"w": normal(3, 4)}, [2, 3]),
]


@pytest.mark.parametrize(("kind", "node", "weights", "shape"), FOLDED)
def test_batch_norm_folds_into_the_node_before_it(kind, node, weights, shape):
    assert types(check(network([node, BN], {**weights, **batch_norm(4)}, shape))) == [kind]


def test_batch_norm_folds_through_matmul_and_add():
    nodes = [NODE("MatMul", ["x", "w"], ["p"]), NODE("Add", ["k", "p"], ["a"]), BN]
    weights = {"w": normal(3, 4), "k": normal(4), **batch_norm(4)}
    assert types(check(network(nodes, weights, [2, 3]))) == ["Gemm"]


def test_batch_norm_stays_where_its_input_has_another_reader_or_no_weights():
    nodes = [NODE("Conv", ["x", "w"], ["a"]), BN.__class__.FromString(BN.SerializeToString())]
    nodes[1].output[0] = "n"
    nodes.append(NODE("Add", ["n", "a"], ["y"]))
    weights = {"w": normal(4, 3, 3, 3), **batch_norm(4)}
    shared = check(network(nodes, weights, [2, 3, 5, 5]))
    assert types(shared) == ["Conv", "BatchNormalization", "Add"]
    relu = [NODE("Relu", ["x"], ["a"]), BN]
    assert types(check(network(relu, batch_norm(4), [2, 4, 5]))) == ["Relu", "BatchNormalization"]


def test_batch_norm_of_rank_three_is_not_along_the_columns_of_matmul():
    nodes = [NODE("MatMul", ["x", "w"], ["a"]), BN]
    weights = {"w": normal(4, 4), **batch_norm(4)}
    assert types(check(network(nodes, weights, [2, 4, 4]))) == ["MatMul", "BatchNormalization"]


MATRICES = [
    (
        "matmul, add",
        [2, 3],
        [NODE("MatMul", ["x", "w"], ["a"]), NODE("Add", ["a", "k"], ["y"])],
        ["Gemm"],
    ),
    (
        "add swapped",
        [2, 3],
        [NODE("MatMul", ["x", "w"], ["a"]), NODE("Add", ["k", "a"], ["y"])],
        ["Gemm"],
    ),
    (
        "row",
        [2, 3],
        [NODE("MatMul", ["x", "w"], ["a"]), NODE("Add", ["a", "row"], ["y"])],
        ["Gemm"],
    ),
    (
        "one number",
        [2, 3],
        [NODE("MatMul", ["x", "w"], ["a"]), NODE("Add", ["a", "s"], ["y"])],
        ["Gemm"],
    ),
    (
        "column",
        [2, 3],
        [NODE("MatMul", ["x", "w"], ["a"]), NODE("Add", ["a", "col"], ["y"])],
        ["MatMul", "Add"],
    ),
    (
        "rank 3",
        [2, 5, 3],
        [NODE("MatMul", ["x", "w"], ["a"]), NODE("Add", ["a", "k"], ["y"])],
        ["MatMul", "Add"],
    ),
    (
        "transposed weight",
        [2, 3],
        [
            NODE("Transpose", ["wt"], ["t"], perm=[1, 0]),
            NODE("MatMul", ["x", "t"], ["a"]),
            NODE("Add", ["a", "k"], ["y"]),
        ],
        ["Gemm"],
    ),
    ("no bias", [2, 3], [NODE("Gemm", ["x", "wt"], ["y"], transB=1, alpha=0.5)], ["MatMul"]),
    ("factors", [2, 3], [NODE("Gemm", ["x", "w", "k"], ["y"], alpha=0.5, beta=0.25)], ["Gemm"]),
    (
        "left transposed",
        [3, 2],
        [NODE("Gemm", ["x", "w", "k"], ["y"], transA=1, alpha=2.0)],
        ["Gemm"],
    ),
]


@pytest.mark.parametrize(("what", "shape", "nodes", "wanted"), MATRICES)
def test_matrices(what, shape, nodes, wanted):
    w = normal(3, 4)
    weights = {"w": w, "wt": w.T.copy(), "k": normal(4), "row": normal(1, 4)}
    weights |= {"col": normal(2, 1), "s": normal(1)}
    result = check(network(nodes, weights, shape))
    assert types(result) == wanted
    given = {a.name: a.f for a in result.graph.node[0].attribute if a.name in ("alpha", "beta")}
    assert all(value == 1 for value in given.values())


MS = "com.microsoft"
CONTRIB = [
    ("Gelu", [NODE("Gelu", ["x"], ["y"], domain=MS)], ["Gelu"]),
    ("FastGelu", [NODE("FastGelu", ["x"], ["y"], domain=MS)], ["Gelu"]),
    ("FastGelu with bias", [NODE("FastGelu", ["x", "k"], ["y"], domain=MS)], ["Add", "Gelu"]),
    ("BiasGelu", [NODE("BiasGelu", ["x", "k"], ["y"], domain=MS)], ["Add", "Gelu"]),
    ("QuickGelu", [NODE("QuickGelu", ["x"], ["y"], domain=MS)], ["Swish"]),
    (
        "LayerNormalization",
        [NODE("LayerNormalization", ["x", "g", "k"], ["y"], epsilon=1e-3)],
        ["LayerNormalization"],
    ),
    (
        "SkipLayerNormalization",
        [NODE("SkipLayerNormalization", ["x", "z", "g", "k", "k"], ["y"], domain=MS, epsilon=1e-3)],
        ["Neg", "Add", "Add", "LayerNormalization"],
    ),
    (
        "SkipLayerNormalization and its sum",
        [
            NODE("SkipLayerNormalization", ["x", "z", "g"], ["n", "", "", "s"], domain=MS),
            NODE("Mul", ["n", "s"], ["y"]),
        ],
        ["Neg", "Add", "LayerNormalization", "Mul"],
    ),
]


@pytest.mark.parametrize(("what", "nodes", "wanted"), CONTRIB)
def test_operators_of_onnxruntime(what, nodes, wanted):
    opset = 13 if what == "LayerNormalization" else 17
    nodes = [NODE("Neg", ["x"], ["z"]), *nodes] if "Skip" in what else nodes
    weights = {"g": normal(8), "k": normal(8)}
    result = check(network(nodes, weights, [2, 5, 8], opset, [MS]), 1e-4)
    assert types(result) == wanted
    assert {n.domain for n in result.graph.node} <= {"", CANONICAL_DOMAIN}


def test_weights_are_neither_copied_into_shape_tools_nor_changed():
    w = normal(256, 256)
    nodes = [NODE("MatMul", ["x", "w"], ["a"]), NODE("Add", ["a", "k"], ["y"])]
    result = canonicalise(network(nodes, {"w": w, "k": normal(256)}, ["N", 256]))
    stored = {t.name: numpy_helper.to_array(t) for t in result.graph.initializer}
    assert np.array_equal(stored["w"], w)


def test_constant_weights_in_nodes_become_initialisers():
    body = "w = Constant<value = float[4,2]{1,2,3,4,5,6,7,8}>() y = MatMul(x, w)"
    result = check(unshaped(text(body)))
    assert [t.name for t in result.graph.initializer] == ["w"]
    assert not any(n.op_type == "Constant" for n in result.graph.node)


def test_unknown_nonlinear_operators_stay():
    model = unshaped(text("a = Selu(x) b = Celu(a) c = Softmax(b) y = Sin(c)"))
    assert types(check(model)) == ["Selu", "Celu", "Softmax", "Sin"]
    assert onnx.checker.check_model(check(model)) is None
