"""Idioms of real networks, as both torch exporters write them: nothing of them stays analog.

The oracle is onnxruntime on the export, also at another batch size and length than it was
exported with.
"""

import logging
import warnings
from collections import Counter
from io import BytesIO

import numpy as np
import onnx
import pytest
import torch
from attention_idioms import WIDTH
from idioms import PATTERNS, Convolution
from small_models import relative

import onnx2snn
from onnx2snn.calibration.ann import open_onnxruntime
from onnx2snn.inspection import inspect_model

logging.getLogger("torch.onnx").setLevel(logging.ERROR)


def inputs(kinds, batch, length, seed):
    """Arrays of each kind; a sequence has one mask of its own."""
    rng = np.random.default_rng(seed)
    known = {
        "sequence": lambda: rng.normal(size=(batch, length, WIDTH)).astype("f"),
        "mask": lambda: (np.arange(length) < rng.integers(1, length, (batch, 1))).astype("i8"),
        "ids": lambda: rng.integers(0, 30, (batch, length)),
        "field": lambda: rng.normal(size=(batch, 8, 8, WIDTH)).astype("f"),
        "image": lambda: rng.normal(size=(batch, 3, 8, 8)).astype("f"),
        "vector": lambda: rng.normal(size=(batch, WIDTH)).astype("f"),
    }
    return {kind: known[kind]() for kind in kinds}


def exported(name, how):
    make, kinds, _ = PATTERNS[name]
    torch.manual_seed(0)
    torch.backends.mha.set_fastpath_enabled(False)
    example = tuple(torch.from_numpy(a) for a in inputs(kinds, 2, 6, 0).values())
    open_axes = [
        {0: "batch", 1: "length"} if kind in ("sequence", "mask", "ids") else {0: "batch"}
        for kind in kinds
    ]
    names = {"input_names": list(kinds), "output_names": ["y"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if how == "dynamo":
            sizes = {axis: torch.export.Dim(axis, min=2, max=64) for axis in ("batch", "length")}
            shapes = tuple({k: sizes[v] for k, v in axes.items()} for axes in open_axes)
            return torch.onnx.export(
                *(make().eval(), example),
                dynamo=True, opset_version=20, dynamic_shapes=(shapes,) if name in VARIADIC
                else shapes, verbose=False, **names,
            ).model_proto  # fmt: skip
        buffer, axes = BytesIO(), dict(zip(kinds, open_axes, strict=True))
        torch.onnx.export(
            make().eval(),
            example,
            buffer,
            dynamo=False,
            opset_version=17,
            dynamic_axes=axes,
            **names,
        )
    return onnx.load_model_from_string(buffer.getvalue())


# torch's older exporter writes the example's length into nn.MultiheadAttention.
FIXED = {name for name in PATTERNS if name.startswith(("multi", "encoder", "padded", "language"))}
VARIADIC = [name for name, (make, _, _) in PATTERNS.items() if isinstance(make(), Convolution)]
CASES = [pytest.param(name, "script") for name in PATTERNS] + [
    pytest.param(name, "dynamo", marks=pytest.mark.slow) for name in PATTERNS
]


@pytest.mark.parametrize(("name", "how"), CASES)
def test_nothing_stays_analog(name, how):
    model = exported(name, how)
    assert inspect_model(model).counts["analog"] == 0
    _, kinds, sites = PATTERNS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spiking = onnx2snn.convert(model, inputs(kinds, 8, 6, 1), time_steps=4, tuning=0)
    found = Counter(n.op_type for n in spiking.graph.node if n.domain == "onnx2snn")
    assert found == {f"Spiking{kind}": number for kind, number in sites.items()}
    test = inputs(kinds, 3, 6 if how == "script" and name in FIXED else 9, 2)
    (wanted,), (limit,) = (open_onnxruntime(m).run(None, test) for m in (model, spiking))
    assert relative(limit, wanted) < 1e-4
    (decoded,) = onnx2snn.SpikingSession(spiking, device="cpu").run(None, test)
    assert decoded.shape == wanted.shape and np.isfinite(decoded).all()
