"""Operators that onnxruntime does not compute in float64, written as ones that it does."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from onnx2snn.export.double.convolution import write_conv, write_conv_transpose
from onnx2snn.export.double.erf import write_erf
from onnx2snn.export.double.functions import FUNCTIONS
from onnx2snn.export.double.normalization import write_batch_normalization
from onnx2snn.export.double.pooling import (
    write_average_pool,
    write_global_average_pool,
    write_global_lp_pool,
    write_lp_pool,
    write_mean,
)
from onnx2snn.export.double.resize import write_resize
from onnx2snn.export.double.rows import write_hardmax, write_lrn
from onnx2snn.export.double.standard import WITHOUT_KERNEL, standard_body
from onnx2snn.export.double.unpooling import write_max_unpool
from onnx2snn.export.writer import Rewrite

__all__ = ["REWRITES", "WITHOUT_KERNEL"]

_OWN: Mapping[str, Rewrite] = {
    **FUNCTIONS,
    "AveragePool": write_average_pool,
    "BatchNormalization": write_batch_normalization,
    "Conv": write_conv,
    "ConvTranspose": write_conv_transpose,
    "Erf": write_erf,
    "GlobalAveragePool": write_global_average_pool,
    "GlobalLpPool": write_global_lp_pool,
    "Hardmax": write_hardmax,
    "LRN": write_lrn,
    "LpPool": write_lp_pool,
    "MaxUnpool": write_max_unpool,
    "Mean": write_mean,
    "Resize": write_resize,
}

REWRITES: Mapping[str, Rewrite] = MappingProxyType(
    {**{name: standard_body(name) for name in sorted(WITHOUT_KERNEL)}, **_OWN}
)
