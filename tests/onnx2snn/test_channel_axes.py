"""Channel axes: what weights write, heads and value channels, never a place in a sequence."""

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto
from small_models import CONV, FC2, NODE, RELU, answer, model, relative, samples, value

import onnx2snn
from onnx2snn.calibration.layout import ChannelAxes
from onnx2snn.canonical import canonicalise
from onnx2snn.match import Options, match
from onnx2snn.ops.node import Node
from onnx2snn.runtime.graph import read_graph
from onnx2snn.runtime.plan import ConstantStep, SiteStep, compile_plan

WIDTH, HEADS = 8, 2
PROJECTIONS = {name: samples(WIDTH, WIDTH, seed=n) for n, name in enumerate("qkvo")}
NORM = {"gain": np.ones(WIDTH, "f"), "bias": np.zeros(WIDTH, "f")}
SHAPES = {
    "split": np.array([0, 0, HEADS, WIDTH // HEADS]),
    "merge": np.array([0, 0, WIDTH]),
    "fold": np.array([-1, 5, 5]),
}
CONSTANTS = {**PROJECTIONS, **NORM, **SHAPES, "nothing": np.array(-np.inf, "f")}


def projected(x: str, heads: bool = True) -> Iterator[NodeProto]:
    """qh, kh and vh from x: [N, L, width] or, with heads, [N, heads, L, width / heads]."""
    for name in "qkv":
        yield NODE("MatMul", [x, name], [f"{name}p" if heads else f"{name}h"], f"{name}p")
        if heads:
            yield NODE("Reshape", [f"{name}p", "split"], [f"{name}r"], f"{name}r")
            yield NODE("Transpose", [f"{name}r"], [f"{name}h"], f"{name}h", perm=[0, 2, 1, 3])


def attention(x: str = "n", heads: bool = True) -> list[NodeProto]:
    """Scores, their softmax and the context of the projections of x."""
    turned = [0, 1, 3, 2] if heads else [0, 2, 1]
    merged = [
        NODE("Transpose", ["context"], ["turned"], "turned", perm=[0, 2, 1, 3]),
        NODE("Reshape", ["turned", "merge"], ["merged"], "merged"),
    ]
    return [
        *projected(x, heads),
        NODE("Transpose", ["kh"], ["kt"], "kt", perm=turned),
        NODE("MatMul", ["qh", "kt"], ["scores"], "scores"),
        NODE("Cast", ["mask"], ["seen"], "seen", to=TensorProto.BOOL),
        NODE("Where", ["seen", "scores", "nothing"], ["masked"], "masked"),
        NODE("Softmax", ["masked"], ["shares"], "softmax", axis=-1),
        NODE("MatMul", ["shares", "vh"], ["context"], "context"),
        *(merged if heads else []),
        NODE("MatMul", ["merged" if heads else "context", "o"], ["y"], "output"),
    ]


LAYER_NORM = NODE("LayerNormalization", ["x", "gain", "bias"], ["n"], "norm")
OPEN = {
    "inputs": [value("x", "N", "L", WIDTH), value("mask", "N", 1, 1, "L", kind=TensorProto.INT64)],
    "outputs": [value("y", "N", "L", WIDTH)],
}
FLAT = {
    **OPEN,
    "inputs": [OPEN["inputs"][0], value("mask", "N", 1, "L", kind=TensorProto.INT64)],
}


def axes_of(proto: onnx.ModelProto) -> ChannelAxes:
    """Channel axis per tensor of the spiking graph."""
    graph = match(read_graph(canonicalise(proto)), Options()).graph
    axes, ranks = ChannelAxes(), {name: len(shape) for name, shape in graph.shapes.items()}
    for step in compile_plan(graph).steps:
        name = step.site.output if isinstance(step, SiteStep) else step.node.outputs[0]
        axes.follow(step, ranks.get(name, 3))
    return axes


@pytest.mark.parametrize("first", [[LAYER_NORM], []], ids=["behind a site", "of the input"])
def test_heads_are_the_channels_of_scores_and_values_those_of_contexts(first):
    nodes = [*first, *attention("n" if first else "x")]
    axes = axes_of(model(nodes, **OPEN, **CONSTANTS))
    assert {axes.of(name, 4) for name in ("scores", "masked", "shares")} == {-3}
    assert axes.of("qh", 4) == axes.of("vh", 4) == axes.of("context", 4) == -1
    assert axes.of("kt", 4) == -2
    assert axes.of("merged", 3) == axes.of("y", 3) == -1


def test_scores_without_heads_share_their_parameters():
    axes = axes_of(model([LAYER_NORM, *attention(heads=False)], **FLAT, **CONSTANTS))
    assert axes.of("scores", 3) is axes.of("shares", 3) is None
    assert axes.of("kt", 3) == -2 and axes.of("context", 3) == -1


def test_scores_that_are_reshaped_stay_scores():
    nodes = [
        LAYER_NORM,
        *projected("n"),
        NODE("Transpose", ["kh"], ["kt"], "kt", perm=[0, 1, 3, 2]),
        NODE("MatMul", ["qh", "kt"], ["scores"], "scores"),
        NODE("Reshape", ["scores", "fold"], ["folded"], "folded"),
        NODE("Transpose", ["folded"], ["f"], "turned", perm=[0, 2, 1]),
        NODE("Softmax", ["f"], ["y"], "softmax", axis=-1),
    ]
    inputs, outputs = [value("x", "N", 5, WIDTH)], [value("y", "M", 5, 5)]
    axes = axes_of(model(nodes, inputs, outputs, **CONSTANTS))
    assert axes.of("scores", 4) == -3
    assert axes.of("folded", 3) is axes.of("f", 3) is axes.of("y", 3) is None


def test_a_sum_over_scores_has_no_channels_but_heads():
    axes = ChannelAxes({"s": -3}, scores={"s"})
    total = Node("ReduceSum", ("s", "axes"), ("t",), {"keepdims": 0})
    axes.follow(ConstantStep(total, None, False, "linear"), 3)
    assert axes.of("t", 3) is None


@pytest.mark.parametrize(
    ("equation", "rank", "channel"),
    [
        ("nqhd,nkhd->nhqk", 4, -3),
        ("nhqd,nhkd->nqkh", 4, -1),
        ("nhqk,nkhd->nqhd", 4, -1),
        ("...qd, ...kd -> ...qk", 4, -3),
        ("...qd,...kd->...qk", 3, None),
        ("qd,kd", 2, None),
    ],
)
def test_products_of_two_signals_by_equation(equation, rank, channel):
    axes = ChannelAxes({"a": -1, "b": -1}, signals={"a", "b"})
    node = Node("Einsum", ("a", "b"), ("y",), {"equation": equation})
    axes.follow(ConstantStep(node, None, False, "product"), rank)
    assert axes.of("y", rank) == channel


@pytest.mark.parametrize(
    ("equation", "operands", "channel"),
    [
        ("nlc,chd->nlhd", ("x", "w"), -1),
        ("chd,nlc->nhdl", ("w", "x"), -2),
        ("nlc,c->nlc", ("x", "w"), -1),
    ],
)
def test_weights_write_the_axis_that_the_signal_lacks(equation, operands, channel):
    axes = ChannelAxes({"x": -1}, signals={"x"})
    node = Node("Einsum", operands, ("y",), {"equation": equation})
    axes.follow(ConstantStep(node, None, False, "linear"), 4)
    assert axes.of("y", 4) == channel


def test_patches_of_an_image_keep_the_axis_of_their_convolution():
    nodes = [
        NODE("Conv", ["x", "k"], ["c"], "patches", strides=[4, 4]),
        NODE("Reshape", ["c", "flat"], ["f"], "flat"),
        NODE("Transpose", ["f"], ["t"], "tokens", perm=[0, 2, 1]),
        NODE("Relu", ["t"], ["y"], "act"),
    ]
    extra = {"k": samples(6, 1, 4, 4), "flat": np.array([0, 6, -1])}
    axes = axes_of(model(nodes, [value("x", "N", 1, 8, 8)], [value("y", "N", 4, 6)], **extra))
    assert axes.of("c", 4) == -3 and axes.of("t", 3) == axes.of("y", 3) == -1


def test_a_gate_takes_the_channels_of_what_it_gates():
    nodes = [
        NODE("Conv", ["x", "k"], ["c"], "conv", pads=[1] * 4),
        NODE("Relu", ["c"], ["r"], "act"),
        NODE("GlobalAveragePool", ["r"], ["p"], "pool"),
        NODE("Flatten", ["p"], ["f"], "flat"),
        NODE("MatMul", ["f", "w"], ["g"], "gate"),
        NODE("Sigmoid", ["g"], ["s"], "open"),
        NODE("Reshape", ["s", "image"], ["i"], "image"),
        NODE("Mul", ["i", "r"], ["y"], "gated"),
    ]
    extra = {"w": samples(6, 6), "image": np.array([0, 6, 1, 1])}
    axes = axes_of(model(nodes, [value("x", "N", 1, 8, 8)], [value("y", "N", 6, 8, 8)], **extra))
    assert axes.of("y", 4) == -3


def test_an_axis_that_a_mean_removed_is_forgotten_by_a_transpose():
    axes = ChannelAxes({"c": -3})
    for step, rank in (
        (Node("ReduceMean", ("c", "axes"), ("m",), {"keepdims": 0}), 2),
        (Node("Transpose", ("m",), ("t",), {"perm": [1, 0]}), 2),
    ):
        axes.follow(ConstantStep(step, None, False, "linear"), rank)
    assert axes.of("m", 2) == -1 and -2 <= (axes.of("t", 2) or 0) <= -1


def test_constants_are_no_signals():
    axes = ChannelAxes()
    axes.follow(ConstantStep(Node("MatMul", ("a", "b"), ("w",)), None, True, "shape"), 2)
    assert not axes.axes and not axes.signals


@pytest.mark.parametrize("heads", [True, False])
def test_attention_runs_at_another_length_than_it_was_calibrated_at(heads):
    signature = OPEN if heads else FLAT
    proto = model([LAYER_NORM, *attention(heads=heads)], **signature, **CONSTANTS)

    def feed(length: int, seed: int) -> dict[str, np.ndarray]:
        mask = np.ones((32, *(1,) * (2 if heads else 1), length), np.int64)
        mask[::2, ..., -2:] = 0
        return {"x": samples(32, length, WIDTH, seed=seed), "mask": mask}

    settings = {"time_steps": 16, "tuning": 0}
    spiking = onnx2snn.convert(proto, feed(6, 1), **settings)
    shapes = {tensor.name: list(tensor.dims) for tensor in spiking.graph.initializer}
    assert shapes["softmax/output/step_sizes"] == ([16, HEADS, 1, 1] if heads else [16])
    session = onnx2snn.SpikingSession(spiking, device="cpu")
    for length in (6, 9):
        other = feed(length, 2)
        (found,) = session.run(None, other)
        assert np.isfinite(found).all()
        assert relative(found, answer(proto, other)[0]) < 0.2


def test_convolutions_write_their_second_axis_and_transposes_carry_it():
    nodes = [
        CONV,
        NODE("Relu", ["c"], ["r"], "act"),
        NODE("Transpose", ["r"], ["t"], "turn", perm=[0, 2, 3, 1]),
        NODE("Relu", ["t"], ["y"], "again"),
    ]
    axes = axes_of(model(nodes, [value("x", "N", 1, 8, 8)], [value("y", "N", 8, 8, 6)]))
    assert (axes.of("c", 4), axes.of("r", 4), axes.of("t", 4), axes.of("y", 4)) == (-3, -3, -1, -1)


def test_linear_layers_write_their_last_axis():
    nodes = [NODE("MatMul", ["x", "w1"], ["h"], "fc1"), RELU, FC2]
    axes = axes_of(model(nodes, [value("x", "N", 5, 4)], [value("y", "N", 5, 3)]))
    assert axes.of("h", 3) == axes.of("r", 3) == axes.of("y", 3) == -1


def test_a_weight_on_the_left_writes_the_axis_before():
    nodes = [
        NODE("MatMul", ["x", "w1"], ["h"], "fc1"),
        NODE("Relu", ["h"], ["r"], "act"),
        NODE("MatMul", ["mix", "r"], ["y"], "mixing"),
    ]
    extra = {"mix": samples(7, 5)}
    axes = axes_of(model(nodes, [value("x", "N", 5, 4)], [value("y", "N", 7, 8)], **extra))
    assert axes.of("y", 3) == -2


def test_batch_normalization_is_channelwise_and_reshape_forgets():
    axes = ChannelAxes({"a": -1})
    norm = Node("BatchNormalization", ("a", "s", "b", "m", "v"), ("n",))
    axes.follow(ConstantStep(norm, None, False, "linear"), 4)
    assert axes.of("n", 4) == -3
    axes.follow(ConstantStep(Node("Reshape", ("n", "s"), ("f",)), None, False, "linear"), 2)
    assert "f" not in axes.axes and axes.of("f", 2) == -1
    assert axes.of("n", 1) is None
