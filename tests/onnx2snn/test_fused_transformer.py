"""A transformer as onnxruntime's tools fuse it: the same sites and the same error as unfused."""

import logging
import warnings
from collections import Counter
from functools import cache

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from bert import Bert
from integer_kernels import skip_where_integers_saturate
from onnx import helper
from small_models import relative
from test_canonical import run, types

import onnx2snn
from onnx2snn.calibration.ann import open_onnxruntime
from onnx2snn.canonical import canonicalise
from onnx2snn.inspection import inspect_model

NAMES = ["input_ids", "attention_mask", "token_type_ids"]


def sentences(count, seed):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 9, (count, 1))
    return {
        "input_ids": rng.integers(0, 50, (count, 8)),
        "attention_mask": (np.arange(8) < lengths).astype(np.int64),
        "token_type_ids": rng.integers(0, 2, (count, 8)),
    }


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Path of the unfused network."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("bert") / "bert.onnx"
    axes = {name: {0: "batch", 1: "length"} for name in NAMES} | {"logits": {0: "batch"}}
    example = tuple(torch.from_numpy(array) for array in sentences(2, 0).values())
    names = {"input_names": NAMES, "output_names": ["logits"], "dynamic_axes": axes}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Bert().eval()
        torch.onnx.export(model, example, str(path), dynamo=False, opset_version=14, **names)
    return path


def fused(path, form):
    """The network as onnxruntime's tools fuse it."""
    logging.getLogger("fusion_base").setLevel(logging.ERROR)
    if form in ("basic", "extended"):
        options = ort.SessionOptions()
        options.graph_optimization_level = getattr(
            ort.GraphOptimizationLevel, f"ORT_ENABLE_{form.upper()}"
        )
        options.optimized_model_filepath = str(path.with_name(f"{form}.onnx"))
        ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    options = FusionOptions("bert")
    options.use_raw_attention_mask(form == "raw")
    options.use_multi_head_attention = form == "multi-head"
    result = optimize_model(
        str(path), "bert", num_heads=4, hidden_size=32, opt_level=0, optimization_options=options
    )
    result.save_model_to_file(str(path.with_name(f"{form}.onnx")))
    return onnx.load(path.with_name(f"{form}.onnx"))


FORMS = [
    *("extended", "index"),
    *(pytest.param(form, marks=pytest.mark.slow) for form in ("basic", "raw", "multi-head")),
]


def same_types(model, feed):
    """The feed in the integer types that the fused model asks for."""
    kinds = {info.name: info.type.tensor_type.elem_type for info in model.graph.input}
    return {
        name: array.astype(helper.tensor_dtype_to_np_dtype(kinds[name]))
        for name, array in feed.items()
    }


@cache
def spiking_error(path, form):
    """Relative error of the SNN, and the roles of its nodes."""
    model = onnx.load(path) if form == "none" else fused(path, form)
    feed, test = (same_types(model, sentences(*how)) for how in ((64, 1), (100, 2)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spiking = onnx2snn.convert(model, feed, time_steps=16, tuning=0, strict=True)
    wanted = open_onnxruntime(str(path)).run(None, sentences(100, 2))[0]
    (limit,) = open_onnxruntime(spiking).run(None, test)
    assert relative(limit, wanted) < 1e-4
    (found,) = onnx2snn.SpikingSession(spiking, device="cpu").run(None, test)
    kinds = Counter(n.op_type for n in spiking.graph.node if n.domain == "onnx2snn")
    return relative(found, wanted), kinds


@pytest.mark.parametrize("form", FORMS)
def test_a_fused_transformer_is_the_unfused_one(network, form):
    if form in ("raw", "index", "multi-head"):
        kinds = types(fused(network, form))
        assert ("MultiHeadAttention" if form == "multi-head" else "Attention") in kinds
    error, sites = spiking_error(network, form)
    plain, expected = spiking_error(network, "none")
    assert (
        sites == expected == Counter(SpikingLayerNormalization=5, SpikingSoftmax=2, SpikingGelu=2)
    )
    assert error == pytest.approx(plain, rel=0.2)


def test_a_fused_and_quantised_transformer(network, tmp_path):
    from onnxruntime.quantization import quantize_dynamic

    skip_where_integers_saturate()
    logging.getLogger().setLevel(logging.ERROR)
    result = tmp_path / "quantised.onnx"
    quantize_dynamic(fused(network, "raw"), result, extra_options={"DefaultTensorType": 1})
    model = onnx.load(result)
    assert {"QAttention", "QEmbedLayerNormalization"} <= set(types(model))
    assert inspect_model(model).counts["analog"] == 0
    feed = same_types(model, sentences(1, 3))
    wanted, found = (run(m, feed)[0] for m in (model, canonicalise(model)))
    assert relative(found, wanted) < 0.02
