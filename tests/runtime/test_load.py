"""Loading: every damaged or hostile file is one ModelError that names the thing and the remedy."""

import hashlib
import pickle
import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.loading import load_model, sha256

NODE = helper.make_node


def build(nodes=None, opset=17, weights=(), domains=(), **kwargs):
    nodes = nodes if nodes is not None else [NODE("Relu", ["x"], ["y"], "act")]
    graph = helper.make_graph(
        nodes,
        "g",
        kwargs.pop("inputs", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])]),
        kwargs.pop("outputs", [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])]),
        [numpy_helper.from_array(value, name) for name, value in dict(weights).items()],
    )
    imports = [helper.make_opsetid(d, 1) for d in domains]
    imports += [helper.make_opsetid("", opset)] if opset is not None else []
    return helper.make_model(graph, opset_imports=imports, ir_version=8, **kwargs)


def written(tmp_path, model):
    path = tmp_path / "model.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return path


def refused(path, *parts):
    with pytest.raises(ModelError) as caught:
        load_model(path)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    for part in parts:
        assert re.search(part, message), message
    return message


def matmul(weight):
    return build([NODE("MatMul", ["x", "w"], ["y"], "fc")], weights={"w": weight})


def test_a_good_model_loads_and_hashes(tmp_path):
    path = written(tmp_path, build())
    assert load_model(path) == build()
    assert sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


GOOD = matmul(np.ones((4, 4), "f")).SerializeToString()
FILES = [
    ("empty", b"", "empty"),
    ("text", b"hello, this is no model\n" * 20, "not an ONNX file"),
    ("random", np.random.default_rng(1).bytes(4096), "not an ONNX file"),
    ("pickle", pickle.dumps({"weights": list(range(999))}), "pickle.*torch.onnx.export"),
    ("zip", b"PK\x03\x04" + bytes(200), "pickle or PyTorch"),
    ("lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    ("no graph", onnx.ModelProto(ir_version=8).SerializeToString(), "not an ONNX file"),
]


@pytest.mark.parametrize(("what", "data", "part"), FILES)
def test_what_is_no_model(tmp_path, what, data, part):
    refused(written(tmp_path, data), part)


def test_missing_file_and_folder(tmp_path):
    refused(tmp_path / "absent.onnx", "no such file")
    refused(tmp_path, "not a file")


@pytest.mark.parametrize("kept", [1, 10, 40, len(GOOD) // 2, len(GOOD) - 1])
def test_truncated_at_any_place(tmp_path, kept):
    refused(written(tmp_path, GOOD[:kept]))


@pytest.mark.parametrize("seed", range(40))
def test_flipped_bytes_never_leak_another_error(tmp_path, seed):
    rng = np.random.default_rng(seed)
    data = bytearray(GOOD)
    for place in rng.integers(0, len(data), 3):
        data[place] = rng.integers(0, 256)
    path = written(tmp_path, bytes(data))
    try:
        load_model(path)
    except ModelError as error:
        assert str(path) in str(error)


LOOP = [NODE("Add", ["x", "b"], ["a"], "first"), NODE("Relu", ["a"], ["b"], "second")]
GRAPHS = [
    ("no nodes", build([]), ["no node"]),
    ("no inputs", build(inputs=[]), ["no input"]),
    ("no outputs", build(outputs=[]), ["no output"]),
    ("no opset", build(opset=None, domains=["mine"]), ["no opset of the default domain"]),
    ("old opset", build(opset=6), ["opset 6 is older than 7"]),
    ("new opset", build(opset=999), ["opset 999 is newer", "upgrade onnx"]),
    (
        "unknown operator",
        build([NODE("Foo", ["x"], ["y"], "n1")], 20),
        [r"node 'n1': operator 'Foo' of domain '' opset 20 does not exist"],
    ),
    ("newer operator", build([NODE("Gelu", ["x"], ["y"], "n1")], 17), ["'Gelu'", "opset 17"]),
    (
        "removed operator",
        build([NODE("Upsample", ["x"], ["y"], "n1")], 17),
        ["'Upsample'", "any more"],
    ),
    (
        "custom operator",
        build([NODE("Bar", ["x"], ["y"], "n2", domain="mine")], domains=["mine"]),
        [r"node 'n2'.*'Bar'.*'mine'.*local function"],
    ),
    (
        "many unknown",
        build([NODE(f"U{i}", ["x"], [f"y{i}"], f"n{i}") for i in range(5)]),
        ["n0", "n2", r"and 2 more"],
    ),
    ("unwritten", build([NODE("Add", ["x", "ghost"], ["y"], "sum")]), ["node 'sum'.*'ghost'"]),
    ("unwritten output", build([NODE("Relu", ["x"], ["z"])]), ["output 'y'"]),
    ("cycle", build([*LOOP, NODE("Relu", ["a"], ["y"], "out")]), ["'first', 'second'", "cycle"]),
    (
        "two writers",
        build([NODE("Relu", ["x"], ["y"], "r1"), NODE("Neg", ["x"], ["y"], "r2")]),
        ["'r2'.*'y'.*'r1'"],
    ),
    (
        "input overwritten",
        build([NODE("Relu", ["x"], ["x"], "r"), NODE("Neg", ["x"], ["y"])]),
        ["'r'.*'x'"],
    ),
    ("bad attribute", build([NODE("Relu", ["x"], ["y"], "r", alpha=1.0)]), ["alpha"]),
    ("nan", matmul(np.full((4, 4), np.nan, "f")), ["'w' holds NaN"]),
    (
        "one nan",
        build([NODE("Add", ["x", "k"], ["y"])], weights={"k": np.asarray([np.nan], "f")}),
        ["'k' holds NaN"],
    ),
    ("infinite", matmul(np.full((4, 4), np.inf, "f")), ["'w' holds infinite"]),
    (
        "nan in half",
        build([NODE("Add", ["x", "k"], ["y"])], weights={"k": np.asarray([1, np.nan], "e")}),
        ["'k' holds NaN"],
    ),
    (
        "sequence",
        build(inputs=[helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)]),
        ["'x': sequence"],
    ),
    (
        "training mode",
        build(
            [NODE("BatchNormalization", ["x", "k", "k", "k", "k"], ["y"], "bn", training_mode=1)],
            weights={"k": np.ones(4, "f")},
        ),
        ["'bn'.*model.eval"],
    ),
]


@pytest.mark.parametrize(("what", "model", "parts"), GRAPHS, ids=[row[0] for row in GRAPHS])
def test_what_is_wrong_inside(tmp_path, what, model, parts):
    refused(written(tmp_path, model), *parts)


def test_training_graphs_are_refused(tmp_path):
    model = build()
    model.training_info.add().algorithm.CopyFrom(helper.make_graph([], "t", [], []))
    refused(written(tmp_path, model), "training graph")


def test_stored_bytes_must_fit_the_shape(tmp_path):
    model = matmul(np.ones((4, 4), "f"))
    model.graph.initializer[0].dims[0] = 5
    refused(written(tmp_path, model), "'w': 64 bytes.*takes 80")


def test_infinite_masks_and_bounds_are_legitimate(tmp_path):
    mask = np.asarray([0, -np.inf, 0, -np.inf], "f")
    load_model(written(tmp_path, build([NODE("Add", ["x", "k"], ["y"])], weights={"k": mask})))
    bound = {"lo": np.asarray(-np.inf, "f")}
    load_model(written(tmp_path, build([NODE("Clip", ["x", "lo"], ["y"])], weights=bound)))


@pytest.mark.parametrize("kind", ["Gelu", "FastGelu", "QuickGelu"])
def test_operators_of_onnxruntime_load(tmp_path, kind):
    node = NODE(kind, ["x"], ["y"], domain="com.microsoft")
    load_model(written(tmp_path, build([node], domains=["com.microsoft"])))


def test_local_functions_load(tmp_path):
    text = """<ir_version: 8, opset_import: ["": 17, "mine": 1]>
        g (float[N,4] x) => (float[N,4] y) { y = mine.F(x) }
        <domain: "mine", opset_import: ["": 17]> F (a) => (c) { c = %s(a) }"""
    load_model(written(tmp_path, parser.parse_model(text % "Relu")))
    refused(written(tmp_path, parser.parse_model(text % "Foo")), "'Foo'")


def test_nodes_out_of_order_are_put_in_order(tmp_path):
    model = build([NODE("Relu", ["a"], ["y"]), NODE("Neg", ["x"], ["a"])])
    assert [n.op_type for n in load_model(written(tmp_path, model)).graph.node] == ["Neg", "Relu"]


def external(folder, location="w.bin", values=None, **entries):
    """A model whose weight lies in a file of its own, declared as the caller wishes."""
    values = np.arange(16, dtype="f").reshape(4, 4) if values is None else values
    model = matmul(values)
    tensor = model.graph.initializer[0]
    data = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    return written(folder, model), data


def test_external_data_is_loaded_and_hashed(tmp_path):
    path, data = external(tmp_path, offset=8, length=64)
    (tmp_path / "w.bin").write_bytes(b"padding!" + data)
    [tensor] = load_model(path).graph.initializer
    assert np.array_equal(numpy_helper.to_array(tensor), np.arange(16).reshape(4, 4))
    first = sha256(path)
    (tmp_path / "w.bin").write_bytes(b"padding?" + data)
    assert sha256(path) != first and len(first) == 64


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "../w.bin", "a/../../w.bin", "C:\\w.bin", "..\\w.bin", "link.bin"]
)
def test_external_data_outside_the_folder_is_never_read(tmp_path, location):
    folder = tmp_path / "model"
    folder.mkdir()
    path, data = external(folder, location)
    (tmp_path / "w.bin").write_bytes(data)
    (folder / "link.bin").symlink_to(tmp_path / "w.bin")
    message = refused(path, "tensor 'w'", "outside the model's folder")
    assert "beside the model" in message
    with pytest.raises(ModelError, match="outside"):
        sha256(path)


def test_external_data_missing_short_or_misdeclared(tmp_path):
    path, data = external(tmp_path)
    refused(path, "tensor 'w'.*'w.bin' is missing")
    (tmp_path / "w.bin").write_bytes(data[:-4])
    refused(path, "'w': 60 bytes|60 bytes declared.*takes 64")
    path, _ = external(tmp_path, length=64)
    refused(path, "holds 60 bytes.*64 are declared")
    path, _ = external(tmp_path, offset=-1)
    refused(path, "tensor 'w'")
    path, _ = external(tmp_path, offset="many")
    refused(path, "not whole numbers")
    path, _ = external(tmp_path, "")
    refused(path, "without a file name")


def test_weights_of_a_constant_node_are_checked_too(tmp_path):
    value = numpy_helper.from_array(np.asarray([np.nan] * 4, "f"))
    nodes = [NODE("Constant", [], ["k"], value=value), NODE("Add", ["x", "k"], ["y"])]
    refused(written(tmp_path, build(nodes)), "'k' holds NaN")
