"""Spiking operators: each one once, with the neuron dynamics beside them."""

from types import MappingProxyType

from onnx2snn.ops.abs import ABS
from onnx2snn.ops.atan import ATAN
from onnx2snn.ops.celu import CELU
from onnx2snn.ops.clip import CLIP
from onnx2snn.ops.cos import COS
from onnx2snn.ops.dynamic_fake_quantize import DYNAMIC_FAKE_QUANTIZE
from onnx2snn.ops.elu import ELU
from onnx2snn.ops.erf import ERF
from onnx2snn.ops.exp import EXP
from onnx2snn.ops.extremum import MAX, MIN
from onnx2snn.ops.fake_quantize import FAKE_QUANTIZE
from onnx2snn.ops.gelu import GELU
from onnx2snn.ops.hard_sigmoid import HARD_SIGMOID
from onnx2snn.ops.hard_swish import HARD_SWISH
from onnx2snn.ops.layer_normalization import LAYER_NORMALIZATION
from onnx2snn.ops.leaky_relu import LEAKY_RELU
from onnx2snn.ops.log import LOG
from onnx2snn.ops.log_softmax import LOG_SOFTMAX
from onnx2snn.ops.max_pool import GLOBAL_MAX_POOL, MAX_POOL
from onnx2snn.ops.mish import MISH
from onnx2snn.ops.operator import DOMAIN, DOMAIN_VERSION, SpikingOperator
from onnx2snn.ops.prelu import PRELU
from onnx2snn.ops.reciprocal import RECIPROCAL
from onnx2snn.ops.relu import RELU
from onnx2snn.ops.selu import SELU
from onnx2snn.ops.sigmoid import SIGMOID
from onnx2snn.ops.sin import SIN
from onnx2snn.ops.softmax import SOFTMAX
from onnx2snn.ops.softplus import SOFTPLUS
from onnx2snn.ops.softsign import SOFTSIGN
from onnx2snn.ops.sqrt import SQRT
from onnx2snn.ops.swish import SWISH
from onnx2snn.ops.tanh import TANH
from onnx2snn.ops.thresholded_relu import THRESHOLDED_RELU

OPERATORS: tuple[SpikingOperator, ...] = (
    ABS,
    ATAN,
    CELU,
    CLIP,
    COS,
    DYNAMIC_FAKE_QUANTIZE,
    ELU,
    ERF,
    EXP,
    FAKE_QUANTIZE,
    GELU,
    GLOBAL_MAX_POOL,
    HARD_SIGMOID,
    HARD_SWISH,
    LAYER_NORMALIZATION,
    LEAKY_RELU,
    LOG,
    LOG_SOFTMAX,
    MAX,
    MAX_POOL,
    MIN,
    MISH,
    PRELU,
    RECIPROCAL,
    RELU,
    SELU,
    SIGMOID,
    SIN,
    SOFTMAX,
    SOFTPLUS,
    SOFTSIGN,
    SQRT,
    SWISH,
    TANH,
    THRESHOLDED_RELU,
)

BY_SOURCE = MappingProxyType({operator.source: operator for operator in OPERATORS})
BY_OP_TYPE = MappingProxyType({operator.op_type: operator for operator in OPERATORS})
if len(BY_SOURCE) != len(OPERATORS):
    raise ValueError("two spiking operators claim the same source")

__all__ = [
    "BY_OP_TYPE",
    "BY_SOURCE",
    "DOMAIN",
    "DOMAIN_VERSION",
    "OPERATORS",
    "SpikingOperator",
]
