"""The passes in their order, and the driver that repeats them until nothing changes."""

from __future__ import annotations

import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.logger import G_LOGGER

from onnx2snn.canonical.affine import ABSORB_AFFINE
from onnx2snn.canonical.as_strided import AS_STRIDED
from onnx2snn.canonical.attach import attach
from onnx2snn.canonical.batch_norm import FOLD_BATCH_NORM
from onnx2snn.canonical.bodies import add_functions
from onnx2snn.canonical.branch import TAKE_BRANCH
from onnx2snn.canonical.contrib import STANDARD_CONTRIB
from onnx2snn.canonical.dequantize import DEQUANTIZE_FIRST, DEQUANTIZE_STORED
from onnx2snn.canonical.dynamic_quantize import DYNAMIC_QUANTIZE
from onnx2snn.canonical.fake_quantize import FAKE_QUANTIZE
from onnx2snn.canonical.fold import FOLD_CONSTANTS
from onnx2snn.canonical.fourier import FOURIER
from onnx2snn.canonical.graph import Pass
from onnx2snn.canonical.group_norm import GROUP_NORM
from onnx2snn.canonical.layer_norm import LAYER_NORM, LAYER_NORM_AXIS, LAYER_NORM_BIAS
from onnx2snn.canonical.layout import (
    DROP_KEPT_AXES,
    FLATTEN,
    MEAN_AXES,
    MERGE_TRANSPOSES,
    SPATIAL_MEAN,
    SUM_OF_TWO,
)
from onnx2snn.canonical.linear import GEMM_FACTORS, MATMUL_TO_GEMM
from onnx2snn.canonical.max_unpool import MAX_UNPOOL
from onnx2snn.canonical.ml import STANDARD_ML
from onnx2snn.canonical.nbits import PLAIN_WEIGHTS
from onnx2snn.canonical.noops import DROP_NOOPS, MERGE_TWINS, PLAIN_CASTS
from onnx2snn.canonical.prepare import prepare
from onnx2snn.canonical.qoperators import QUANTIZED_OPERATORS
from onnx2snn.canonical.ranges import SCALAR_RANGES
from onnx2snn.canonical.recurrent import RECURRENT
from onnx2snn.canonical.resize import RESIZE_AXES
from onnx2snn.canonical.rms_norm import RMS_NORM, STANDARD_RMS_NORM
from onnx2snn.canonical.sequences import SEQUENCES
from onnx2snn.canonical.shape_values import FOLD_SHAPES, SETTLE_RESHAPE
from onnx2snn.canonical.shapes import infer
from onnx2snn.canonical.softmax_axis import SOFTMAX_AXIS
from onnx2snn.canonical.stairs import STAIRS
from onnx2snn.canonical.steps import EXPONENTS, STEPS
from onnx2snn.canonical.swish import STANDARD_SWISH
from onnx2snn.canonical.unary import UNARY_FUNCTIONS
from onnx2snn.canonical.unroll import UNROLL
from onnx2snn.runtime.loading.detach import detach

PASSES: tuple[Pass, ...] = (
    STANDARD_CONTRIB,
    STANDARD_ML,
    STANDARD_SWISH,
    STANDARD_RMS_NORM,
    GROUP_NORM,
    PLAIN_CASTS,
    FOLD_CONSTANTS,
    QUANTIZED_OPERATORS,
    PLAIN_WEIGHTS,
    DYNAMIC_QUANTIZE,
    DEQUANTIZE_STORED,
    DEQUANTIZE_FIRST,
    FAKE_QUANTIZE,
    STAIRS,
    FOLD_SHAPES,
    TAKE_BRANCH,
    UNROLL,
    RECURRENT,
    SEQUENCES,
    MAX_UNPOOL,
    RESIZE_AXES,
    FOURIER,
    SCALAR_RANGES,
    SETTLE_RESHAPE,
    AS_STRIDED,
    DROP_NOOPS,
    SUM_OF_TWO,
    MERGE_TRANSPOSES,
    MERGE_TWINS,
    FLATTEN,
    SOFTMAX_AXIS,
    GEMM_FACTORS,
    MATMUL_TO_GEMM,
    FOLD_BATCH_NORM,
    STEPS,
    EXPONENTS,
    UNARY_FUNCTIONS,
    LAYER_NORM,
    RMS_NORM,
    LAYER_NORM_AXIS,
    ABSORB_AFFINE,
    SPATIAL_MEAN,
    MEAN_AXES,
    DROP_KEPT_AXES,
)
FINISHING: tuple[Pass, ...] = (LAYER_NORM_BIAS,)
_ROUNDS = 12


def canonicalise(model: onnx.ModelProto) -> onnx.ModelProto:
    """A semantically equal model in the canonical form; `model` itself is not modified.

    The names, types and shapes of graph inputs and outputs are those of `model`.
    """
    light, weights = detach(model)
    with G_LOGGER.suppress():  # it prints to standard output
        graph = gs.import_onnx(prepare(light))
        attach(graph, weights)
        settle(graph, PASSES)
        settle(graph, FINISHING)
        result = gs.export_onnx(graph, do_type_check=False)
    return _finished(result, model)


def settle(graph: gs.Graph, passes: tuple[Pass, ...]) -> None:
    """Run the passes in order, round after round, until a whole round changes nothing."""
    graph.cleanup()
    infer(graph)
    for _ in range(_ROUNDS):
        changed = [_apply(graph, one) for one in passes]
        if not any(changed):
            return


def _apply(graph: gs.Graph, one: Pass) -> bool:
    changed = one.run(graph)
    if changed:
        graph.cleanup()
        infer(graph)
    return changed


def _finished(result: onnx.ModelProto, source: onnx.ModelProto) -> onnx.ModelProto:
    """Give the result the interface and metadata of the model it was made from."""
    stored = {tensor.name for tensor in source.graph.initializer}
    stored |= {tensor.values.name for tensor in source.graph.sparse_initializer}
    del result.graph.input[:], result.graph.output[:]
    result.graph.input.extend(v for v in source.graph.input if v.name not in stored)
    result.graph.output.extend(source.graph.output)
    result.graph.doc_string = source.graph.doc_string
    result.doc_string, result.domain = source.doc_string, source.domain
    result.model_version = source.model_version
    result.metadata_props.extend(source.metadata_props)
    add_functions(result)
    return result
