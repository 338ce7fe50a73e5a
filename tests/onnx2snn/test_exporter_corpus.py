"""One network from many exporters: the same sites, the same limit, the same error as an SNN.

Both torch exporters at many opsets, onnxruntime's and onnxsim's optimisation. The oracle is
onnxruntime on the exported file.
"""

import logging
import warnings
from collections import Counter
from functools import cache
from io import BytesIO

import onnx
import onnxruntime as ort
import pytest
import torch
import torch.nn.functional as F
from measuring import measured
from small_models import samples
from torch import nn

logging.getLogger("torch.onnx").setLevel(logging.ERROR)
ort.set_default_logger_severity(4)


class Residual(nn.Module):
    """Batch normalisation, max pooling, a residual sum, a mean over the image."""

    def __init__(self, width=8):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(3 if i == 0 else width, width, 3, padding=1, bias=False) for i in range(3)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(3))
        self.head = nn.Linear(width, 10)
        for norm in self.norms:
            norm.running_mean.normal_(std=0.3)
            norm.running_var.uniform_(0.5, 2)

    def forward(self, x):
        steps = list(zip(self.convolutions, self.norms, strict=True))
        x = F.max_pool2d(F.relu(steps[0][1](steps[0][0](x))), 2)
        y = F.relu6(steps[1][1](steps[1][0](x)))
        x = F.relu(x + steps[2][1](steps[2][0](y)))
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class Perceptron(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(12, 32), nn.Linear(32, 16), nn.Linear(16, 4)
        self.norm = nn.BatchNorm1d(32)
        self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x):
        x = torch.tanh(self.norm(self.first(x)))
        return self.last(F.dropout(F.silu(self.second(x)), training=self.training))


class Transformer(nn.Module):
    def __init__(self, width=16, heads=2):
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.up, self.down = nn.Linear(width, 32), nn.Linear(32, width)

    def forward(self, x):
        batch, length, width = x.shape
        shape = (batch, length, 3, self.heads, width // self.heads)
        query, key, values = self.qkv(self.norms[0](x)).reshape(shape).permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-1, -2) * (width // self.heads) ** -0.5
        mixed = (torch.softmax(scores, -1) @ values).transpose(1, 2)
        x = x + self.out(mixed.reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.norms[1](x))))


NETWORKS = {
    "residual": (Residual, (3, 8, 8), Counter(MaxPool=1, Relu=1, Clip=1)),
    "perceptron": (Perceptron, (12,), Counter(Tanh=1, Swish=1)),
    "transformer": (Transformer, (5, 16), Counter(LayerNormalization=2, Softmax=1, Gelu=1)),
}
SCRIPT = [f"script-{opset}" for opset in (9, 11, 13, 15, 17, 18, 20)]
DYNAMO = [f"dynamo-{opset}" for opset in (18, 20, 23)]
OPTIMISED = ["ort-basic", "ort-extended", "onnxsim"]
FAST = {"script-9", "script-13", "script-20", "ort-extended"}


@cache
def exported(name, how):
    make, shape, _ = NETWORKS[name]
    torch.manual_seed(0)
    network, example = make().eval(), (torch.from_numpy(samples(2, *shape, seed=0)),)
    names = {"input_names": ["x"], "output_names": ["y"]}
    kind, opset = how.split("-") if how[0] in "sd" else ("script", 17)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "dynamo":
            batch = ({0: torch.export.Dim("batch")},)
            program = torch.onnx.export(
                network, example, dynamo=True, dynamic_shapes=batch, verbose=False,
                opset_version=int(opset), **names,
            )  # fmt: skip
            return program.model_proto
        buffer, axes = BytesIO(), {"x": {0: "batch"}, "y": {0: "batch"}}
        torch.onnx.export(
            network, example, buffer, dynamo=False, dynamic_axes=axes, opset_version=int(opset),
            **names,
        )  # fmt: skip
    return onnx.load_model_from_string(buffer.getvalue())


def optimised(name, how, folder):
    model = exported(name, "script-17")
    if how == "onnxsim":
        simplified, proven = pytest.importorskip("onnxsim").simplify(model)
        assert proven
        return simplified
    options = ort.SessionOptions()
    level = f"ORT_ENABLE_{how.removeprefix('ort-').upper()}"
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(options.optimized_model_filepath)


@cache
def reference(name):
    """The SNN's error for the file of the older exporter at opset 17."""
    shape = NETWORKS[name][1]
    feed, test = {"x": samples(64, *shape, seed=1)}, {"x": samples(100, *shape, seed=2)}
    return measured(exported(name, "script-17"), feed, test)[2]


CASES = [
    pytest.param(name, how, marks=() if how in FAST else pytest.mark.slow)
    for name in NETWORKS
    for how in [*SCRIPT, *DYNAMO, *OPTIMISED]
]


@pytest.mark.parametrize(("name", "how"), CASES)
def test_one_network_whoever_exported_it(name, how, tmp_path):
    _, shape, expected = NETWORKS[name]
    feed, test = {"x": samples(64, *shape, seed=1)}, {"x": samples(100, *shape, seed=2)}
    model = optimised(name, how, tmp_path) if how in OPTIMISED else exported(name, how)
    sites, limit, error = measured(model, feed, test)
    assert sites == expected
    assert limit < 1e-4
    assert error == pytest.approx(reference(name), rel=0.2)
