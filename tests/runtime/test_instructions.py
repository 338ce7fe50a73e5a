"""Instructions of compiled programs against the operators they stand for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_bound import ROWS, STEPS, form, weights

from onnx2snn.ops.node import Node
from onnx2snn.runtime.binding import Binding
from onnx2snn.runtime.bound import bind
from onnx2snn.runtime.fused.build import compiler
from onnx2snn.runtime.linear import LINEAR
from onnx2snn.runtime.program import product
from onnx2snn.runtime.program.linear import emitted
from onnx2snn.runtime.program.placing import placed
from onnx2snn.runtime.program.program import laid_out, library
from onnx2snn.runtime.program.signal import UnsupportedError, dense
from onnx2snn.runtime.program.step import BoundStep
from onnx2snn.runtime.program.writer import Slots, Writer

pytestmark = pytest.mark.skipif(compiler() is None, reason="needs a C compiler")
Row = tuple[str, dict[str, Any], list[Any]]
FILTERS = weights(4, 3, 3, 2)
SAME = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
# Sizes that end within vectors, panels and tiles, and axes in other orders.
MORE: dict[str, Row] = {
    "panels": ("Gemm", {}, [(5, 70), weights(70, 77)]),
    "four_vectors": ("MatMul", {}, [(3, 9, 21), weights(21, 64)]),
    "padded": ("Conv", SAME, [(3, 5, 7, 6), weights(19, 5, 3, 3)]),
    "groups": ("Conv", {**SAME, "group": 3}, [(2, 6, 5, 5), weights(60, 2, 3, 3)]),
    "depthwise_1d": ("Conv", {"pads": [1, 0], "group": 9}, [(2, 9, 5), weights(9, 1, 3)]),
    "depthwise": ("Conv", {**SAME, "group": 35}, [(2, 35, 4, 5), weights(35, 1, 3, 3)]),
    "many_images": ("Conv", SAME, [(7, 4, 8, 8), weights(40, 4, 3, 3)]),
    "beside_the_image": ("Conv", {"pads": [4, 5, 4, 5]}, [(2, 3, 4, 3), weights(20, 3, 3, 3)]),
    "strided_groups": (
        "Conv",
        {**SAME, "group": 2, "strides": [2, 2]},
        [(9, 6, 9, 8), weights(24, 3, 3, 3)],
    ),
    "larger_than_images": (
        "Conv",
        {"pads": [3] * 4, "group": 20},
        [(13, 20, 4, 3), weights(20, 1, 7, 7)],
    ),
    "dilated": ("Conv", {"dilations": [2, 1], "strides": [1, 2]}, [(2, 3, 7, 8), FILTERS]),
    "transposed_strided": (
        "ConvTranspose",
        {"strides": [2, 3], "pads": [1, 0, 0, 2], "output_padding": [1, 2], "group": 2},
        [(3, 8, 5, 4), weights(8, 9, 3, 4)],
    ),
    "transposed_dilated": (
        "ConvTranspose",
        {"strides": [2, 1], "dilations": [3, 2]},
        [(2, 3, 4, 5), weights(3, 7, 2, 3)],
    ),
    "transposed_apart": ("ConvTranspose", {"strides": [4]}, [(2, 3, 5), weights(3, 6, 2)]),
    "transposed_depthwise": (
        "ConvTranspose",
        {"strides": [2, 2], "group": 20},
        [(2, 20, 4, 3), weights(20, 1, 3, 3)],
    ),
    "mean_of_rows": ("ReduceMean", {}, [(2, 3, 75), torch.tensor([2])]),
    "negative": ("Neg", {}, [(2, 3, 5)]),
    "gather": ("Gather", {"axis": 1}, [(2, 5, 3), torch.tensor([[4, 0], [-1, 4]])]),
    "expand": ("Expand", {}, [(2, 1, 3), torch.tensor([4, 2, 5, 1])]),
    "split": ("Split", {"axis": 1}, [(2, 7, 3), torch.tensor([4, 1, 2])]),
    "tile": ("Tile", {}, [(2, 3), torch.tensor([2, 3])]),
    "depth_to_space": ("DepthToSpace", {"blocksize": 2}, [(2, 8, 3, 2)]),
    "nearest": ("Resize", {}, [(2, 3, 4, 5), None, torch.tensor([1.0, 1.0, 2.0, 1.5])]),
    "linear": (
        "Resize",
        {"mode": "linear"},
        [(2, 3, 4, 5), None, torch.tensor([1.0, 1.0, 2.0, 1.5])],
    ),
    "upper": ("Trilu", {}, [(2, 4, 4)]),
    "mean_of_columns": ("ReduceMean", {"keepdims": 0}, [(2, 37, 59), torch.tensor([1])]),
}  # fmt: skip
BOUND = {name: row for name, row in {**ROWS, **MORE}.items() if name != "cut_by_pads"}


def memory(buffers: torch.Tensor, start: int, view: torch.Tensor) -> torch.Tensor:
    """What a signal's view shows of the buffers."""
    offset = start // 4 + int(view.storage_offset())
    return buffers.view(torch.float32).as_strided(view.shape, view.stride(), offset)


def run(row: Row, threads: int, reverse: bool) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Results of a program of one node, and those of the operator at every step."""
    op_type, attributes, operands = row
    bound, moving = form(row)
    kernels = library()
    assert kernels is not None
    writer = Writer(STEPS, threads, kernels.kernels, Slots(0), {})
    orders = {i: [0, *range(1, x.dim())[:: -1 if reverse else 1]] for i, x in moving.items()}
    signals = [writer.new(dense(x.shape, orders[i])) for i, x in moving.items()]
    expected = []
    for t in range(STEPS):
        now = [moving[i][t] if i in moving else x for i, x in enumerate(operands)]
        expected.append(LINEAR[op_type].apply(now, attributes))
    outputs = tuple(f"y{i}" for i in range(len(expected[0])))
    node = Node(op_type, tuple(map(str, range(len(operands)))), outputs, attributes)
    names = tuple((i, str(i)) for i in moving)
    constants = bound.operands
    kept = (constants, bound.shapes, names, constants)
    binding = Binding(*kept, False, None, True, bound.result, bind(bound))
    step = BoundStep(0, node, binding, signals, bound.result)
    results = emitted(writer, step)
    for result in results:
        result.buffer.last = len(writer.instructions)
    program, (places, _) = laid_out(writer), placed(writer.buffers)
    buffers = torch.zeros(program.room, dtype=torch.uint8)
    for signal, x in zip(signals, moving.values(), strict=True):
        memory(buffers, places[signal.buffer], signal.view).copy_(x)
    words = program.at(kernels, 0, buffers.data_ptr())
    kernels.run(words.data_ptr(), program.count, threads)
    found = [memory(buffers, places[result.buffer], result.view) for result in results]
    return list(zip(found, map(torch.stack, zip(*expected, strict=True)), strict=True))


@pytest.mark.parametrize("name", BOUND)
@pytest.mark.parametrize(("threads", "reverse"), [(1, False), (2, True)])
def test_an_instruction_is_its_operator_at_every_step(
    name: str, threads: int, reverse: bool
) -> None:
    for found, expected in run(BOUND[name], threads, reverse):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_what_kernels_do_not_know_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnsupportedError, match="two axes"):
        run(("Conv", {}, [(1, 2, 3, 3, 3), weights(2, 2, 1, 1, 1)]), 1, False)
    with pytest.raises(UnsupportedError, match="CumSum"):
        run(("CumSum", {}, [(1, 2, 3), torch.tensor(1)]), 1, False)
    with pytest.raises(UnsupportedError, match="negative"):
        run(ROWS["cut_by_pads"], 1, False)
    monkeypatch.setattr(product, "MOST_WEIGHTS", 1 << 19)
    with pytest.raises(UnsupportedError, match="too large"):
        run(("Gemm", {}, [(1, 400), weights(400, 400)]), 1, False)
