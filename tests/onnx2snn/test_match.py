"""Matching: which nodes become spiking, under which names, and why others are refused."""

from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper
from small_models import CONV, FC1, FC2, NODE, RELU, model, value

from onnx2snn.match import Options, match
from onnx2snn.ops import BY_SOURCE, DOMAIN
from onnx2snn.runtime.graph import read_graph

TAIL = NODE("MatMul", ["r", "w2"], ["y"], "fc2")


def matched(nodes, options=None, **build):
    """Matched without what may pass by neurons, which `test_bypass` is about."""
    return match(read_graph(model(nodes, **build)), replace(options or Options(), bypass="none"))


def of_name(result, name):
    return next(node for node in result.graph.nodes if node.name == name)


def test_a_node_keeps_name_edges_and_attributes():
    node = NODE("LeakyRelu", ["h"], ["r"], "act", alpha=0.25)
    result = matched([FC1, node, TAIL], Options(neurons={"spikes": "ternary"}))
    found = of_name(result, "act")
    assert (found.op_type, found.domain) == ("SpikingLeakyRelu", DOMAIN)
    assert (found.inputs, found.outputs) == (("h",), ("r",))
    assert found.attributes == {"alpha": 0.25, "spikes": "ternary"}
    assert [n.op_type for n in result.graph.nodes] == ["Gemm", "SpikingLeakyRelu", "MatMul"]
    assert result.refusals == {}


@pytest.mark.parametrize("pattern", ["act", "a*", "Relu", "Re?u", "[ab]ct"])
def test_excluded_by_name_or_operator(pattern):
    result = matched([FC1, RELU, FC2], Options(exclude=("other", pattern)))
    assert of_name(result, "act").op_type == "Relu"
    assert result.refusals == {"act": "excluded by request"}


@pytest.mark.parametrize("pattern", ["relu", "ac", "SpikingRelu", "fc1"])
def test_not_excluded_by_another_name(pattern):
    assert matched([FC1, RELU, FC2], Options(exclude=(pattern,))).refusals == {}


@pytest.mark.parametrize(("axis", "expected"), [(-1, -1), (1, -1), (None, -1)])
def test_layer_normalization_counts_its_axis_from_the_last(axis, expected):
    attributes = {} if axis is None else {"axis": axis}
    node = NODE("LayerNormalization", ["h", "b1"], ["r"], "norm", **attributes)
    found = of_name(matched([FC1, node, TAIL], Options(layer_norm="fused")), "norm")
    assert found.attributes["axis"] == expected and found.attributes["sites"] == "fused"


def test_layer_normalization_with_its_mean_in_use_is_refused():
    node = NODE("LayerNormalization", ["h", "b1"], ["r", "mean"], "norm")
    outputs = [value("y", "N", 3), value("mean", "N", 1)]
    result = matched([FC1, node, TAIL], outputs=outputs)
    assert of_name(result, "norm").domain == "" and "'mean' is used" in result.refusals["norm"]


def test_layer_normalization_of_unknown_rank_is_refused():
    proto = model(
        [NODE("LayerNormalization", ["x", "s"], ["y"], "norm", axis=1)], s=np.ones(4, "f")
    )
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    assert "rank" in match(read_graph(proto), Options()).refusals["norm"]


def test_pools():
    act = NODE("Relu", ["c"], ["r"], "act")
    pool = NODE("MaxPool", ["r"], ["y", "i"], "pool", kernel_shape=[2, 2])
    image = {"inputs": [value("x", "N", 1, 8, 8)]}
    index = value("i", "N", 6, 7, 7, kind=TensorProto.INT64)
    used = matched([CONV, act, pool], **image, outputs=[value("y", "N", 6, 7, 7), index])
    assert "'i' is used" in used.refusals["pool"]
    pool = NODE("GlobalMaxPool", ["r"], ["y"], "pool")
    outputs = [value("y", "N", 6, 1, 1)]
    fixed = of_name(matched([CONV, act, pool], **image, outputs=outputs), "pool")
    assert fixed.attributes == {"extents": [8, 8], "sites": "fused", "floor": 0.0}
    loose = matched([CONV, act, pool], inputs=[value("x", "N", 1, "H", 8)], outputs=outputs)
    assert "extents are not fixed" in loose.refusals["pool"]


@pytest.mark.parametrize(
    ("max_pool", "readers", "remaining"),
    [("fused", 1, ["pool"]), ("tree", 1, ["act", "pool"]), ("fused", 2, ["act", "pool"])],
)
def test_a_relu_that_only_a_pool_reads_is_merged(max_pool, readers, remaining):
    nodes = [
        CONV,
        NODE("Relu", ["c"], ["r"], "act"),
        NODE("MaxPool", ["r"], ["y"], "pool", kernel_shape=[2, 2]),
    ]
    outputs = [value("y", "N", 6, 7, 7), value("r", "N", 6, 8, 8)][:readers]
    found = matched(
        nodes, Options(max_pool=max_pool), inputs=[value("x", "N", 1, 8, 8)], outputs=outputs
    )
    assert [n.name for n in found.graph.nodes[1:]] == remaining
    assert found.merged == ({} if "act" in remaining else {"act": "pool"})
    pool = of_name(found, "pool")
    assert pool.inputs == (("c",) if found.merged else ("r",))
    assert pool.attributes.get("floor") == (0.0 if found.merged else None)


@pytest.mark.parametrize("op_type", ["Max", "Min"])
def test_extrema_are_split_in_pairs(op_type):
    node = NODE(op_type, ["h", "b1", "h", "b1"], ["r"], "top")
    nodes = matched([FC1, node, TAIL]).graph.nodes[1:-1]
    assert [n.name for n in nodes] == ["top/1", "top/2", "top/3"]
    assert [n.inputs for n in nodes] == [("h", "b1"), ("r/1", "h"), ("r/2", "b1")]
    assert [n.outputs for n in nodes] == [("r/1",), ("r/2",), ("r",)]
    assert {n.op_type for n in nodes} == {f"Spiking{op_type}"}


def test_nodes_of_one_name_get_names_of_their_own():
    nodes = [FC1, NODE("Relu", ["h"], ["a"], "act"), NODE("Tanh", ["a"], ["r"], "act"), TAIL]
    names = [n.name for n in matched(nodes).graph.nodes]
    assert names == ["fc1", "act", "act_2", "fc2"]


def test_integers_and_constants_stay_as_they_are():
    whole = {"inputs": [value("x", "N", 4, kind=TensorProto.INT32)]}
    result = matched(
        [NODE("Abs", ["x"], ["y"], "abs")],
        **whole,
        outputs=[value("y", "N", 4, kind=TensorProto.INT32)],
    )
    assert of_name(result, "abs").domain == "" and result.refusals == {}
    constant = NODE("Relu", ["b1"], ["k"], "fixed")
    add = NODE("Add", ["h", "k"], ["g"], "add")
    act = NODE("Relu", ["g"], ["r"], "act")
    result = matched([constant, FC1, add, act, TAIL])
    assert of_name(result, "fixed").domain == "" and of_name(result, "act").domain == DOMAIN


def test_other_domains_are_left_alone():
    node = helper.make_node("Relu", ["h"], ["r"], "act", domain="com.example")
    proto = model([FC1, node, TAIL])
    proto.opset_import.append(helper.make_opsetid("com.example", 1))
    assert match(read_graph(proto), Options()).refusals == {}


def test_every_operator_is_reachable_by_its_source():
    assert {operator.op_type for operator in BY_SOURCE.values()} == {
        f"Spiking{source}" for source in BY_SOURCE
    }


IMAGE = {"inputs": [value("x", "N", 1, 8, 8)]}


@pytest.mark.parametrize("stored", [[2, 3], [-1, -2], [-2, -1]])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_reductions_hold_their_axes_as_an_attribute(stored, keepdims):
    node = NODE("ReduceMax", ["c", "axes"], ["y"], "top", keepdims=keepdims)
    outputs = [value("y", *(["N", 6, 1, 1] if keepdims else ["N", 6]))]
    result = matched([CONV, node], **IMAGE, outputs=outputs, axes=np.array(stored))
    found = of_name(result, "top")
    assert (found.op_type, found.inputs) == ("SpikingReduceMax", ("c",))
    assert found.attributes == {"axes": [-2, -1], "keepdims": keepdims}


def test_a_reduction_without_axes_takes_all_of_them():
    node = NODE("ReduceL2", ["c"], ["y"], "norm")
    found = of_name(matched([CONV, node], **IMAGE, outputs=[value("y", 1, 1, 1, 1)]), "norm")
    assert found.attributes["axes"] == [-4, -3, -2, -1]


@pytest.mark.parametrize(
    ("inputs", "attributes", "reason"),
    [
        (["c", "x"], {}, "axes 'x' are computed"),
        (["c"], {"noop_with_empty_axes": 1}, "no axes"),
        (["c"], {"keepdims": 0}, "single number"),
    ],
)
def test_reductions_that_are_refused(inputs, attributes, reason):
    node = NODE("ReduceMax", inputs, ["y"], "top", **attributes)
    result = matched([CONV, node], **IMAGE, outputs=[value("y")])
    assert of_name(result, "top").domain == "" and reason in result.refusals["top"]


@pytest.mark.parametrize(("spatial", "axis"), [((8, 8), -2), ((8,), -1), ((4, 4, 4), -3)])
def test_instance_normalization_counts_its_spatial_axes(spatial, axis):
    shape = value("x", "N", 6, *spatial)
    nodes = [NODE("Tanh", ["x"], ["h"]), NODE("InstanceNormalization", ["h", "s", "s"], ["y"], "n")]
    result = matched(
        nodes,
        Options(layer_norm="fused"),
        inputs=[shape],
        outputs=[value("y", "N", 6, *spatial)],
        s=np.ones(6, "f"),
    )
    assert of_name(result, "n").attributes == {"axis": axis, "sites": "fused"}


def test_division_is_spiking_where_the_divisor_changes():
    one = np.ones((), "f")
    nodes = {
        "constant": NODE("Div", ["r", "one"], ["r1"], "constant"),
        "signal": NODE("Div", ["r1", "r"], ["r2"], "signal"),
        "reciprocal": NODE("Div", ["one", "r2"], ["r3"], "reciprocal"),
        "input": NODE("Div", ["r3", "h"], ["r4"], "input"),
    }
    tail = NODE("MatMul", ["r4", "w2"], ["y"], "fc2")
    result = matched([FC1, RELU, *nodes.values(), tail], one=one)
    spiking = {name: of_name(result, name).domain == DOMAIN for name in nodes}
    assert spiking == {"constant": False, "signal": True, "reciprocal": True, "input": False}


def test_softmax_in_one_site_or_two():
    node = NODE("Softmax", ["h"], ["r"], "shares")
    for softmax in ("fused", "decomposed"):
        found = of_name(matched([FC1, node, TAIL], Options(softmax=softmax)), "shares")
        assert found.attributes == {"axis": -1, "sites": softmax}


def test_the_remainder_of_whole_numbers_is_refused():
    node = NODE("Mod", ["h", "b1"], ["r"], "rest", fmod=0)
    assert "fmod" in matched([FC1, node, TAIL]).refusals["rest"]
