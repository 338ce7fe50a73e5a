"""One row or several per linear operator: operands, attributes and tolerance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from linear_row import Row, f, i, row
from onnx import TensorProto
from sampling_rows import RESIZE, SAMPLING
from torch import Tensor

from onnx2snn.runtime.linear import LINEAR


def tensors(row: Row) -> list[Tensor | None]:
    return [None if a is None else torch.from_numpy(np.array(a)) for a in row.operands]


def apply(row: Row, operands: Sequence[Tensor | None]) -> list[Tensor]:
    return list(LINEAR[row.op_type].apply(operands, row.attributes))[: row.outputs]


ARITHMETIC = [
    row("Add", f(2, 3, 4), f(3, 1)),
    row("Add", i(5, -7), i(2)),
    row("Sub", f(2, 3, 4), f(4)),
    row("Sub", i(5), i(9)),
    row("Sum", f(2, 3), f(3), f(1, 1)),
    row("Mean", f(2, 3), f(3), f(2, 1)),
    row("Mul", f(2, 3, 4), f(2, 1, 4)),
    row("Mul", i(5, -7), i(-2)),
    row("Div", f(2, 3), f(3) + 3),
    row("Div", i(7, -7, 7, -7), i(2, 2, -2, -2), reference="it rounds integers down"),
    row("Neg", f(2, 3)),
    row("Identity", f(2, 3)),
    row("Dropout", f(2, 3), np.array(0.3, np.float32), np.array(False), outputs=2),
    row("Dropout", f(2, 3)),
    row("Cast", f(2, 3), to=TensorProto.DOUBLE),
    row("Cast", f(2, 3), to=TensorProto.FLOAT),
    row("CastLike", f(2, 3), f(1), reference="keeps the precision on purpose"),
    row("Where", np.array([[True], [False]]), f(2, 3), f(3)),
    row("Where", np.array([True, False]), i(1, 2), i(3)),
]
CASTS = [
    row("Cast", np.array([-1.7, 0.0, 2.5], np.float32), to=TensorProto.INT64),
    row("Cast", np.array([-1.7, 0.0, 2.5], np.float32), to=TensorProto.BOOL),
    row("Cast", i(0, 3), to=TensorProto.FLOAT),
    row("Cast", i(0, 3), to=TensorProto.INT32),
    row("CastLike", f(3) * 4, np.array([1], np.int32)),
]
PRODUCT = [
    row("MatMul", f(2, 3, 4), f(4, 5)),
    row("MatMul", f(4), f(2, 4, 5)),
    row("MatMul", f(2, 1, 3, 4), f(3, 4, 2)),
    row("Gemm", f(3, 4), f(4, 5), f(5)),
    row("Gemm", f(4, 3), f(5, 4), f(3, 1), alpha=0.5, beta=2.0, transA=1, transB=1),
    row("Gemm", f(3, 4), f(5, 4), transB=1),
    row("Gemm", f(3, 4), f(4, 5), f(), alpha=-1.5),
    row("Einsum", f(2, 3, 4), f(4, 5), equation="...ij,jk->...ik"),
    row("Einsum", f(2, 3), f(3, 4), f(4, 2), equation="ij, jk, kl -> il"),
    row("Einsum", f(3, 4), equation="ij->ji"),
    row("BatchNormalization", f(2, 3, 4), f(3), f(3), f(3), f(3) ** 2, epsilon=1e-3),
    row("BatchNormalization", f(2, 3), f(3), f(3), f(3), f(3) ** 2 + 0.1),
]
CONVOLUTION = [
    row("Conv", f(2, 3, 9), f(4, 3, 3), f(4), pads=[2, 0], strides=[2]),
    row("Conv", f(2, 4, 7, 6), f(6, 2, 3, 2), group=2, dilations=[2, 1], pads=[1, 1, 1, 1]),
    row("Conv", f(2, 4, 7, 6), f(4, 1, 3, 3), f(4), group=4, pads=[0, 1, 2, 0]),
    row("Conv", f(2, 2, 7, 6), f(3, 2, 3, 4), auto_pad="SAME_UPPER", strides=[2, 1]),
    row("Conv", f(2, 2, 7, 6), f(3, 2, 3, 4), auto_pad="SAME_LOWER", strides=[2, 3]),
    row("Conv", f(2, 2, 7, 6), f(3, 2, 3, 4), f(3), auto_pad="VALID"),
    row("Conv", f(1, 2, 4, 5, 3), f(2, 2, 2, 2, 2), f(2), pads=[1, 0, 0, 0, 1, 0]),
    row("ConvTranspose", f(2, 3, 5), f(3, 2, 3), f(2), strides=[2], pads=[1, 1]),
    row(
        "ConvTranspose",
        f(2, 4, 3, 4),
        f(4, 3, 3, 2),
        f(6),
        group=2,
        strides=[2, 3],
        reference="it fails on groups",
    ),
    row("ConvTranspose", f(1, 2, 3, 3), f(2, 2, 3, 3), f(2), pads=[1, 0, 0, 2], dilations=[2, 2]),
    row("ConvTranspose", f(1, 2, 3, 3), f(2, 2, 3, 3), f(2), strides=[3, 2], output_padding=[2, 1]),
    row("ConvTranspose", f(1, 2, 3, 3), f(2, 2, 3, 3), strides=[3, 2], output_shape=[10, 8]),
    row("ConvTranspose", f(1, 2, 3, 3), f(2, 2, 2, 4), auto_pad="SAME_UPPER", strides=[2, 3]),
    row(
        "ConvTranspose",
        f(1, 2, 3, 3),
        f(2, 2, 4, 3),
        f(2),
        auto_pad="SAME_LOWER",
        strides=[3, 2],
        reference="it puts the odd pad at the end",
    ),
    row(
        "ConvTranspose",
        f(1, 2, 3, 3),
        f(2, 2, 1, 2),
        auto_pad="SAME_UPPER",
        strides=[2, 3],
        reference="it adds empty cells up to size * stride",
    ),
    row("ConvTranspose", f(1, 2, 2, 3, 2), f(2, 1, 2, 2, 3), auto_pad="VALID", strides=[2, 1, 1]),
]
POOLING = [
    row("AveragePool", f(2, 3, 9), kernel_shape=[3], strides=[2], pads=[1, 1]),
    row("AveragePool", f(2, 3, 7, 8), kernel_shape=[3, 2], count_include_pad=1, pads=[1, 1, 1, 1]),
    row("AveragePool", f(2, 3, 7, 8), kernel_shape=[3, 2], pads=[0, 1, 2, 0], strides=[2, 2]),
    row("AveragePool", f(2, 3, 7, 8), kernel_shape=[3, 2], pads=[0, 1, 2, 0], count_include_pad=1),
    row("AveragePool", f(2, 3, 7, 8), kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    row(
        "AveragePool",
        f(1, 2, 6, 7),
        kernel_shape=[3, 3],
        strides=[2, 3],
        pads=[1, 0, 0, 1],
        ceil_mode=1,
        count_include_pad=1,
    ),
    row("AveragePool", f(1, 2, 7, 9), kernel_shape=[2, 3], dilations=[2, 3], pads=[1, 0, 0, 1]),
    row("AveragePool", f(1, 2, 7, 9), kernel_shape=[2, 3], auto_pad="SAME_UPPER", strides=[2, 2]),
    row("AveragePool", f(1, 2, 7, 9), kernel_shape=[2, 4], auto_pad="SAME_LOWER", strides=[2, 2]),
    row("AveragePool", f(1, 2, 4, 5, 6), kernel_shape=[2, 3, 2], auto_pad="VALID"),
    row("GlobalAveragePool", f(2, 3, 4, 5)),
]
SHAPE = [
    row("Reshape", f(2, 3, 4), i(0, -1, 2)),
    row("Reshape", f(2, 3, 4), i(24)),
    row("Reshape", f(0, 3, 4), i(3, 0, 8), allowzero=1),
    row("Reshape", i(1, 2, 3, 4), i(2, -1)),
    row("Flatten", f(2, 3, 4), axis=2),
    row("Flatten", f(2, 3, 4), axis=-2),
    row("Flatten", f(2, 3), axis=0),
    row("Squeeze", f(1, 3, 1), i(-1)),
    row("Squeeze", f(1, 3, 1)),
    row("Unsqueeze", f(3, 4), i(0, -1)),
    row("Unsqueeze", np.array(3), i(0)),
    row("Transpose", f(2, 3, 4), perm=[2, 0, 1]),
    row("Transpose", f(2, 3, 4)),
    row("Concat", f(2, 3), f(2, 1), f(2, 2), axis=-1),
    row("Concat", i(1), i(2, 3), axis=0),
    row("Split", f(5, 2), outputs=3, num_outputs=3),
    row("Split", f(2, 5), i(1, 4), outputs=2, axis=-1),
    row("Expand", f(3, 1), i(2, 1, 4)),
    row("Expand", f(2, 3, 4), i(3, 1)),
    row("Tile", f(2, 3), i(2, 3)),
    row("Pad", f(3, 4), i(1, -1, 2, 0), reference="it refuses negative pads"),
    row("Pad", f(2, 3, 4), i(1, 2), np.array(1.5, np.float32), i(-1)),
    row("Pad", f(3, 4), i(1, 2, 2, 3), mode="reflect"),
    row("Pad", f(3, 4), i(1, 2, 5, 3), mode="edge"),
    row("Pad", f(3, 4), i(1, 2, 3, 4), mode="wrap"),
    row("Pad", f(4, 5), i(-1, 2, 1, -2), mode="reflect", reference="it refuses negative pads"),
    row("Pad", i(1, 2), i(1, 1), np.array(7)),
    row("DepthToSpace", f(1, 8, 2, 3), blocksize=2),
    row("DepthToSpace", f(1, 8, 2, 3), blocksize=2, mode="CRD"),
    row("SpaceToDepth", f(1, 2, 4, 6), blocksize=2),
]
INDEXING = [
    row("Slice", f(5, 6), i(1), i(4)),
    row("Slice", f(5, 6), i(-1, -2), i(-100, 100), i(0, -1), i(-2, 1)),
    row("Slice", f(5, 6), i(100), i(-100), i(1), i(-1)),
    row("Slice", f(5, 6), i(3), i(3), i(1)),
    row("Slice", i(4, 5, 6), i(-1), i(2**63 - 1)),
    row("Gather", f(4, 3), i(0, -1, 2)),
    row("Gather", f(4, 3), i([0, 2], [1, -1]), axis=-1),
    row("Gather", i(4, 5, 6), np.array(-1)),
    row("GatherElements", f(3, 4), i([0, -1, 2, 1]), axis=0),
    row("GatherElements", f(3, 4), i([0], [3], [-2]), axis=1),
    row("GatherND", f(3, 4, 2), i([0, -1], [2, 1])),
    row("GatherND", f(2, 3, 4), i([0], [2]), batch_dims=1),
    row("GatherND", f(2, 3, 4), i([[0], [2], [3]], [[1], [1], [-1]]), batch_dims=2),
    row("ScatterElements", f(3, 4), i([0, -1, 2, 1]), f(1, 4)),
    row("ScatterElements", f(3, 4), i([1, 1]), f(1, 2), axis=1, reduction="add"),
    row("ScatterND", f(4, 3), i([1], [-1]), f(2, 3)),
    row("ScatterND", f(4, 3), i([1, 0], [1, 0]), f(2), reduction="add"),
    row("Trilu", f(2, 3, 4), np.array(1)),
    row("Trilu", f(3, 3), upper=0),
    row("ReverseSequence", f(4, 3, 2), i(2, 4, 1)),
    row("ReverseSequence", f(3, 4, 2), i(2, 4, 1), time_axis=1, batch_axis=0),
]
REDUCTION = [
    row("ReduceSum", f(2, 3, 4), i(0, -1)),
    row("ReduceSum", f(2, 3), keepdims=0),
    row("ReduceSum", f(2, 3), noop_with_empty_axes=1),
    row("ReduceSum", i([1, 2], [3, 4]), i(0), keepdims=0),
    row("ReduceMean", f(2, 3, 4), i(1), keepdims=0),
    row("ReduceMean", f(2, 3)),
    row("CumSum", f(3, 4), np.array(1)),
    row("CumSum", f(3, 4), np.array(-2), exclusive=1, reverse=1),
    row("CumSum", i(1, 2, 3), np.array(0), exclusive=1),
]
ROWS = [
    *ARITHMETIC,
    *PRODUCT,
    *CONVOLUTION,
    *POOLING,
    *SHAPE,
    *INDEXING,
    *SAMPLING,
    *REDUCTION,
    *RESIZE,
]
