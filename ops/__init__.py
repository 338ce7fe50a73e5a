"""Spiking operators: each one once, with the neuron dynamics beside them."""

from onnx2snn.ops.abs import ABS
from onnx2snn.ops.add_relu import ADD_RELU
from onnx2snn.ops.atan import ATAN
from onnx2snn.ops.celu import CELU
from onnx2snn.ops.clip import CLIP
from onnx2snn.ops.cos import COS
from onnx2snn.ops.div import DIV
from onnx2snn.ops.dynamic_fake_quantize import DYNAMIC_FAKE_QUANTIZE
from onnx2snn.ops.elu import ELU
from onnx2snn.ops.erf import ERF
from onnx2snn.ops.exp import EXP
from onnx2snn.ops.extremum import MAX, MIN
from onnx2snn.ops.fake_quantize import FAKE_QUANTIZE
from onnx2snn.ops.gelu import GELU
from onnx2snn.ops.hard_sigmoid import HARD_SIGMOID
from onnx2snn.ops.hard_swish import HARD_SWISH
from onnx2snn.ops.hardmax import HARDMAX
from onnx2snn.ops.hyperbolic import ACOSH, ASINH, ATANH, COSH, SINH
from onnx2snn.ops.input import INPUT
from onnx2snn.ops.instance_normalization import INSTANCE_NORMALIZATION
from onnx2snn.ops.layer_normalization import LAYER_NORMALIZATION
from onnx2snn.ops.leaky_relu import LEAKY_RELU
from onnx2snn.ops.log import LOG
from onnx2snn.ops.log_softmax import LOG_SOFTMAX
from onnx2snn.ops.lp_normalization import LP_NORMALIZATION
from onnx2snn.ops.lp_pool import GLOBAL_LP_POOL, LP_POOL
from onnx2snn.ops.lrn import LRN
from onnx2snn.ops.max_pool import GLOBAL_MAX_POOL, MAX_POOL
from onnx2snn.ops.mish import MISH
from onnx2snn.ops.mod import MOD
from onnx2snn.ops.operator import DOMAIN, DOMAIN_VERSION, SpikingOperator
from onnx2snn.ops.power import POW
from onnx2snn.ops.prelu import PRELU
from onnx2snn.ops.reciprocal import RECIPROCAL
from onnx2snn.ops.reduction import REDUCTIONS
from onnx2snn.ops.registry import BY_OP_TYPE, BY_SOURCE, register
from onnx2snn.ops.relu import RELU
from onnx2snn.ops.rms_normalization import RMS_NORMALIZATION
from onnx2snn.ops.rounding import CEIL, FLOOR, ROUND, SIGN
from onnx2snn.ops.select import WHERE_LESS, WHERE_LESS_OR_EQUAL
from onnx2snn.ops.selu import SELU
from onnx2snn.ops.shrink import SHRINK
from onnx2snn.ops.sigmoid import SIGMOID
from onnx2snn.ops.sin import SIN
from onnx2snn.ops.softmax import SOFTMAX
from onnx2snn.ops.softplus import SOFTPLUS
from onnx2snn.ops.softsign import SOFTSIGN
from onnx2snn.ops.sqrt import SQRT
from onnx2snn.ops.swish import SWISH
from onnx2snn.ops.tanh import TANH
from onnx2snn.ops.thresholded_relu import THRESHOLDED_RELU
from onnx2snn.ops.trigonometric import ACOS, ASIN, TAN

OPERATORS: tuple[SpikingOperator, ...] = (
    ABS,
    ACOS,
    ACOSH,
    ADD_RELU,
    ASIN,
    ASINH,
    ATAN,
    ATANH,
    CEIL,
    CELU,
    CLIP,
    COS,
    COSH,
    DIV,
    DYNAMIC_FAKE_QUANTIZE,
    ELU,
    ERF,
    EXP,
    FAKE_QUANTIZE,
    FLOOR,
    GELU,
    GLOBAL_LP_POOL,
    GLOBAL_MAX_POOL,
    HARDMAX,
    HARD_SIGMOID,
    HARD_SWISH,
    INSTANCE_NORMALIZATION,
    LAYER_NORMALIZATION,
    LEAKY_RELU,
    LOG,
    LOG_SOFTMAX,
    LP_NORMALIZATION,
    LP_POOL,
    LRN,
    MAX,
    MAX_POOL,
    MIN,
    MISH,
    MOD,
    POW,
    PRELU,
    RECIPROCAL,
    RELU,
    RMS_NORMALIZATION,
    ROUND,
    SELU,
    SHRINK,
    SIGMOID,
    SIGN,
    SIN,
    SINH,
    SOFTMAX,
    SOFTPLUS,
    SOFTSIGN,
    SQRT,
    SWISH,
    TAN,
    TANH,
    THRESHOLDED_RELU,
    WHERE_LESS,
    WHERE_LESS_OR_EQUAL,
    *REDUCTIONS,
)

for _operator in (*OPERATORS, INPUT):
    register(_operator)

__all__ = [
    "BY_OP_TYPE",
    "BY_SOURCE",
    "DOMAIN",
    "DOMAIN_VERSION",
    "INPUT",
    "OPERATORS",
    "SpikingOperator",
    "register",
]
