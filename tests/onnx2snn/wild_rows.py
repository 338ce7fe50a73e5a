"""Small graphs as exporters other than torch's write them, and as old files hold them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper, parser
from small_models import samples

Stored = dict[str, Any]


@dataclass(frozen=True)
class Wild:
    """A graph in ONNX's text form from `inputs` to `outputs`, and the sites it must have."""

    inputs: str
    outputs: str
    body: str
    sites: dict[str, int]
    stored: Stored = field(default_factory=dict)
    opset: int = 13

    def model(self) -> onnx.ModelProto:
        made = parser.parse_model(
            f'<ir_version: 8, opset_import: ["" : {self.opset}, "ai.onnx.ml" : 3]> '
            f"wild ({self.inputs}) => ({self.outputs}) {{ {self.body} }}"
        )
        for name, value in self.stored.items():
            held = np.asarray(value, np.float32 if isinstance(value, float) else None)
            made.graph.initializer.append(numpy_helper.from_array(held, name))
        return made

    @property
    def expected(self) -> Counter[str]:
        return Counter({f"Spiking{name}": count for name, count in self.sites.items()})


def weights(**shapes: tuple[int, ...]) -> Stored:
    return {n: samples(*s, seed=i) for i, (n, s) in enumerate(shapes.items())}


def positive(*shape: int) -> np.ndarray:
    return np.abs(samples(*shape, seed=9)) + np.float32(0.5)


ROW, IMAGE, FIXED = "float[N,8] x", "float[N,8,8,3] x", "float[1,3,4,4] x"
DENSE = weights(w=(8, 8))
CONV = weights(k=(4, 3, 3, 3))
HEADS = weights(wq=(8, 2, 4), wk=(8, 2, 4), wv=(8, 2, 4), wo=(2, 4, 8), bq=(2, 4), bo=(8,))
RNN = weights(W=(1, 16, 3), R=(1, 16, 4), B=(1, 32), w=(4, 2))
NORM = {"gain": positive(4), "shift": samples(4), "mean": samples(4, seed=3), "var": positive(4)}
BOXES = np.array([[0.3, 0.5, 4.2, 5.1], [1, 2, 3, 3.5]], np.float32)
TENSORFLOW = {
    "attention": Wild(
        "float[N,5,8] x",
        "float[N,5,8] y",
        """qe = Einsum<equation = "abc,cde->abde">(x, wq) q = Add(qe, bq) s = Mul(q, half)
        k = Einsum<equation = "abc,cde->abde">(x, wk) v = Einsum<equation = "abc,cde->abde">(x, wv)
        a = Einsum<equation = "aecd,abcd->acbe">(k, s) p = Softmax<axis = -1>(a)
        m = Einsum<equation = "acbe,aecd->abcd">(p, v)
        o = Einsum<equation = "abcd,cde->abe">(m, wo) y = Add(o, bo)""",
        {"Softmax": 1},
        {**HEADS, "half": 0.5},
    ),
    "layer normalisation": Wild(
        "float[N,5,8] x",
        "float[N,5,8] y",
        """h = MatMul(x, w) m = ReduceMean<axes = [-1]>(h) d = Sub(h, m) q = Mul(d, d)
        v = ReduceMean<axes = [-1]>(q) e = Add(v, small) s = Sqrt(e) r = Reciprocal(s)
        g = Mul(r, gamma) a = Mul(h, g) n = Mul(m, g) b = Sub(beta, n) y = Add(a, b)""",
        {"Sqrt": 1, "Reciprocal": 1},
        {**DENSE, "small": 1e-3, "gamma": positive(8), "beta": samples(8)},
    ),
    "hard swish": Wild(
        ROW,
        "float[N,8] y",
        """h = MatMul(x, w) a = Add(h, three) b = Max(a, zero) c = Min(b, six) d = Mul(c, sixth)
        y = Mul(h, d)""",
        {"HardSwish": 1},
        {**DENSE, "zero": 0.0, "three": 3.0, "six": 6.0, "sixth": 1 / 6},
    ),
    "clip by tensors": Wild(
        ROW,
        "float[N,8] y",
        "h = MatMul(x, w) y = Clip(h, , six)",
        {"Clip": 1},
        {**DENSE, "six": 6.0},
    ),
    "prelu": Wild(
        ROW,
        "float[N,8] y",
        """h = MatMul(x, w) p = Relu(h) n = Neg(h) q = Relu(n) a = Mul(alpha, q) b = Neg(a)
        y = Add(p, b)""",
        {"Relu": 2},
        {**DENSE, "alpha": positive(8)},
    ),
    "flatten by shape": Wild(
        "float[N,3,8] x",
        "float[N,4] y",
        """h = MatMul(x, w) a = Relu(h) s = Shape(a) i = Cast<to = 6>(s)
        b = Slice(i, from, to, from) o = Squeeze(b, from) u = Unsqueeze(o, from)
        c = Concat<axis = 0>(u, rest) l = Cast<to = 7>(c) f = Reshape(a, l) y = MatMul(f, w2)""",
        {"Relu": 1},
        {
            **weights(w=(8, 8), w2=(24, 4)),
            **{"from": np.array([0]), "to": np.array([1]), "rest": np.array([24], np.int32)},
        },
    ),
    "softmax by hand": Wild(
        ROW,
        "float[N,8] y",
        """h = MatMul(x, w) m = ReduceMax<axes = [-1]>(h) d = Sub(h, m) e = Exp(d)
        s = ReduceSum(e, last) y = Div(e, s)""",
        {"ReduceMax": 1, "Exp": 1, "Div": 1},
        {**DENSE, "last": np.array([-1])},
    ),
    "transposed convolution, cropped": Wild(
        IMAGE,
        "float[N,8,8,2] y",
        """t = Transpose<perm = [0,3,1,2]>(x)
        c = Conv<strides = [2,2], auto_pad = "SAME_UPPER">(t, k) a = Relu(c)
        u = ConvTranspose<strides = [2,2]>(a, k2) s = Slice(u, from, to, axes) b = Add(s, bias)
        y = Transpose<perm = [0,2,3,1]>(b)""",
        {"Relu": 1},
        {
            **weights(k=(4, 3, 3, 3), k2=(4, 2, 3, 3), bias=(1, 2, 1, 1)),
            **{"from": np.array([0, 0]), "to": np.array([8, 8]), "axes": np.array([2, 3])},
        },
    ),
    "batch norm of channels last": Wild(
        IMAGE,
        "float[N,4] y",
        """t = Transpose<perm = [0,3,1,2]>(x) c = Conv<pads = [1,1,1,1]>(t, k)
        n = Transpose<perm = [0,2,3,1]>(c) m = Mul(n, gain) a = Add(m, shift) r = Elu(a)
        y = ReduceMean<axes = [1,2], keepdims = 0>(r)""",
        {"Elu": 1},
        {**CONV, "gain": NORM["gain"], "shift": NORM["shift"]},
    ),
    "depth and space": Wild(
        IMAGE,
        "float[N,4,8,8] y",
        """t = Transpose<perm = [0,3,1,2]>(x) c = Conv<pads = [1,1,1,1]>(t, k) r = Relu(c)
        d = DepthToSpace<blocksize = 2>(r) s = SpaceToDepth<blocksize = 2>(d) y = Sigmoid(s)""",
        {"Relu": 1, "Sigmoid": 1},
        CONV,
    ),
    "recurrent layer": Wild(
        "float[N,5,3] x",
        "float[N,2] y",
        """t = Transpose<perm = [1,0,2]>(x) s = Shape(x) b = Slice(s, zero, one, zero)
        c = Concat<axis = 0>(one, b, four) h = ConstantOfShape(c) e = Expand(five, b)
        l = Cast<to = 6>(e) Y, H, C = LSTM<hidden_size = 4>(t, W, R, B, l, h, h)
        q = Squeeze(H, zero) y = MatMul(q, w)""",
        {"Sigmoid": 5, "Tanh": 10},
        {
            **RNN,
            **{n: np.array([i]) for n, i in (("zero", 0), ("one", 1), ("four", 4), ("five", 5))},
        },
    ),
}
SCALER = "ai.onnx.ml.Scaler<offset = [0.1, 0.2, 0.3, -0.4], scale = [1.0, 2.0, 0.5, 1.5]>(x)"
LINEAR = "coefficients = [1.0, -1.0, 0.5, 0.3, 0.2, 0.1, -0.2, 0.4], intercepts = [0.3, 0.1]"
SCIKIT_LEARN = {
    "pipeline": Wild(
        "double[N,4] x",
        "float[N,2] p, int64[N] y",
        f"""s = {SCALER} h = MatMul(s, w) t = Relu(h) o = MatMul(t, w2) p1 = Sigmoid(o)
        p0 = Sub(one, p1) p = Concat<axis = 1>(p0, p1) i = ArgMax<axis = 1, keepdims = 0>(p)
        l = ai.onnx.ml.ArrayFeatureExtractor(classes, i) y = Reshape(l, flat)""",
        {"Relu": 1, "Sigmoid": 1},
        {
            **weights(w=(4, 8), w2=(8, 1)),
            **{"one": 1.0, "classes": np.array([3, 7]), "flat": np.array([-1])},
        },
    ),
    "regression": Wild(
        "float[N,4] x",
        "float[N,2] y",
        f"""s = {SCALER} n = ai.onnx.ml.Normalizer<norm = "L2">(s) h = MatMul(n, w) t = Relu(h)
        y = ai.onnx.ml.LinearRegressor<{LINEAR}, targets = 2>(t)""",
        {"Relu": 1, "LpNormalization": 1},
        weights(w=(4, 4)),
    ),
    "classification": Wild(
        "float[N,4] x",
        "int64[N] l, float[N,2] p",
        f"""h = MatMul(x, w) t = Tanh(h) l, p = ai.onnx.ml.LinearClassifier<{LINEAR},
        classlabels_ints = [4, 9], post_transform = "SOFTMAX">(t)""",
        {"Tanh": 1, "Softmax": 1},
        weights(w=(4, 4)),
    ),
}
OTHERS = {
    "opset 7": Wild(
        FIXED,
        "float[1,4,8,8] y",
        """c = Conv<pads = [1,1,1,1]>(x, k) b = BatchNormalization(c, gain, shift, mean, var)
        r = LeakyRelu<alpha = 0.1>(b) u = Upsample<scales = [1.0, 1.0, 2.0, 2.0]>(r)
        y = Dropout(u)""",
        {"LeakyRelu": 1},
        {**CONV, **NORM},
        7,
    ),
    "sizes that name a batch of one": Wild(
        FIXED,
        "float[1,4,8,8] y",
        """c = Conv<pads = [1,1,1,1]>(x, k) r = Relu(c)
        y = Resize<mode = "linear">(r, , , sizes)""",
        {"Relu": 1},
        {**CONV, "sizes": np.array([1, 4, 8, 8])},
    ),
    "nothing in front": Wild(
        ROW,
        "float[N,8] y",
        "h = MatMul(x, w) a = Relu(h) y = Concat<axis = 1>(nothing, a)",
        {"Relu": 1},
        {**DENSE, "nothing": np.zeros((0, 0), np.float32)},
    ),
    "bytes": Wild(
        "uint8[N,8] x",
        "float[N,8] y",
        "f = Cast<to = 1>(x) d = Mul(f, scale) h = MatMul(d, w) y = Relu(h)",
        {"Relu": 1},
        {**DENSE, "scale": 0.01},
    ),
    "positions": Wild(
        "float[N,5,8] x",
        "float[N,5,8] y",
        """s = Shape(x) n = Gather(s, one) p = Range(zero, n, one) f = Cast<to = 1>(p)
        c = Unsqueeze(f, last) r = MatMul(c, rates) e = Sin(r) a = Add(x, e) h = MatMul(a, w)
        y = Tanh(h)""",
        {"Tanh": 1},
        {
            **weights(w=(8, 8), rates=(1, 8)),
            **{"zero": np.array(0), "one": np.array(1), "last": np.array([-1])},
        },
    ),
    "regions": Wild(
        "float[N,3,6,6] x",
        "float[2,4,2,2] y",
        """c = Conv<pads = [1,1,1,1]>(x, k) a = Relu(c)
        y = RoiAlign<output_height = 2, output_width = 2, sampling_ratio = 2>(a, rois, images)""",
        {"Relu": 1},
        {**CONV, "rois": BOXES, "images": np.array([0, 0])},
        16,
    ),
}
ROWS = {**TENSORFLOW, **SCIKIT_LEARN, **OTHERS}
