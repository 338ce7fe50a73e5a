"""The same network from either torch exporter, at any opset, has one canonical form."""

import logging
import warnings
from collections import Counter
from functools import cache
from io import BytesIO

import onnx
import pytest
import torch
import torch.nn.functional as F
from test_canonical import check
from torch import nn

warnings.filterwarnings("ignore", module="torch")
logging.getLogger("torch.onnx").setLevel(logging.ERROR)

EXPORTS = [("script", 13), ("script", 17), ("script", 20), ("dynamo", 18), ("dynamo", 20)]


class ConvNeXt(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 2, 2)
        self.stem_norm = nn.LayerNorm(width)
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.scale = nn.Parameter(torch.rand(width))
        self.last_norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x):
        x = self.stem_norm(self.stem(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.scale * self.down(F.gelu(self.up(y)))
        x = F.adaptive_avg_pool2d(x + y.permute(0, 3, 1, 2), 1).flatten(1)
        return self.head(self.last_norm(x))


class ChannelsFirst(nn.Module):
    """A layer norm over channels, written out, and a gelu of tanh."""

    def __init__(self, width=8):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3)
        self.gain, self.bias = nn.Parameter(torch.rand(width)), nn.Parameter(torch.rand(width))

    def forward(self, x):
        x = self.stem(x)
        mean = x.mean(1, keepdim=True)
        spread = (x - mean).pow(2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(spread + 1e-6)
        x = self.gain[:, None, None] * x + self.bias[:, None, None]
        return F.gelu(x, approximate="tanh")


class Mixer(nn.Module):
    def __init__(self, width=8, tokens=16):
        super().__init__()
        self.embed = nn.Conv2d(3, width, 2, 2)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.token1, self.token2 = nn.Linear(tokens, 24), nn.Linear(24, tokens)
        self.channel1, self.channel2 = nn.Linear(width, 24), nn.Linear(24, width)
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        y = self.token2(F.gelu(self.token1(self.norm1(x).transpose(1, 2))))
        x = x + y.transpose(1, 2)
        x = x + self.channel2(F.gelu(self.channel1(self.norm2(x))))
        return self.head(x.mean(1))


class ResMLP(nn.Module):
    def __init__(self, width=8, tokens=16):
        super().__init__()
        self.embed = nn.Conv2d(3, width, 2, 2)
        self.gain, self.bias = nn.Parameter(torch.rand(width)), nn.Parameter(torch.rand(width))
        self.scale = nn.Parameter(torch.rand(width))
        self.token = nn.Linear(tokens, tokens)
        self.up, self.down = nn.Linear(width, 24), nn.Linear(24, width)
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        y = torch.addcmul(self.bias, self.gain, x)
        x = x + self.scale * self.token(y.transpose(1, 2)).transpose(1, 2)
        x = x + self.down(F.gelu(self.up(x * self.gain + self.bias)))
        return self.head(x.mean(1))


class ResNet(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.conv0 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm0, self.norm1, self.norm2 = (nn.BatchNorm2d(width) for _ in range(3))
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(width, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm0(self.conv0(x))), 3, 2, 1)
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return self.head(torch.flatten(self.pool(F.relu(x + y)), 1))


class VGG(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        )
        self.classifier = nn.Sequential(
            *(nn.Linear(width * 4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout()),
            nn.Linear(16, 10),
        )

    def forward(self, x):
        x = F.adaptive_avg_pool2d(self.features(x), (2, 2))
        return self.classifier(x.view(x.shape[0], -1))


class RegNet(nn.Module):
    """Group convolution and squeeze-and-excitation, with two smooth activations."""

    def __init__(self, width=8):
        super().__init__()
        self.stem, self.norm0 = nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width)
        self.group = nn.Conv2d(width, width, 3, 1, 1, groups=2, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.squeeze, self.excite = nn.Conv2d(width, 2, 1), nn.Conv2d(2, width, 1)
        self.head = nn.Linear(width, 10, bias=False)

    def forward(self, x):
        x = F.silu(self.norm0(self.stem(x)))
        y = F.hardswish(self.norm1(self.group(x)))
        y = y * torch.sigmoid(self.excite(F.relu6(self.squeeze(y.mean((2, 3), keepdim=True)))))
        return self.head(F.mish(x + y).mean((2, 3)))


class Norms(nn.Module):
    """Group, instance and root mean square normalisation, the last as transformers write it."""

    def __init__(self, width=8):
        super().__init__()
        self.embed = nn.Conv2d(3, width, 3)
        self.groups, self.instances = nn.GroupNorm(2, width), nn.InstanceNorm2d(width)
        self.gain, self.head = nn.Parameter(torch.rand(width)), nn.Linear(width, 10)
        nn.init.normal_(self.groups.weight)
        nn.init.normal_(self.groups.bias)

    def forward(self, x):
        x = self.instances(F.relu(self.groups(self.embed(x)))).amax((2, 3))
        wide = x.to(torch.float32)
        scaled = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)
        return self.head(self.gain * scaled.to(x.dtype))


FAMILIES = {
    Norms: Counter(
        Conv=1, Reshape=2, InstanceNormalization=2, Relu=1, ReduceMax=1, RMSNormalization=1,
        Gemm=1, Mul=1, Add=1,
    ),
    ConvNeXt: Counter(
        Conv=2, Transpose=4, LayerNormalization=3, MatMul=2, Add=3, Gelu=1, Mul=1, ReduceMean=1,
        Gemm=1,
    ),
    ChannelsFirst: Counter(Conv=1, Transpose=2, LayerNormalization=1, Gelu=1),
    Mixer: Counter(
        Conv=1, Reshape=1, Transpose=3, LayerNormalization=2, MatMul=4, Add=6, Gelu=2,
        ReduceMean=1, Gemm=1,
    ),
    ResMLP: Counter(
        Conv=1, Reshape=1, Transpose=3, Mul=3, MatMul=3, Add=7, Gelu=1, ReduceMean=1, Gemm=1
    ),
    ResNet: Counter(Conv=3, Relu=3, MaxPool=1, Add=1, ReduceMean=1, Gemm=1),
    VGG: Counter(Conv=2, Relu=3, MaxPool=2, Flatten=1, Gemm=2),
    RegNet: Counter(
        Conv=4, Swish=1, HardSwish=1, ReduceMean=2, Clip=1, Sigmoid=1, Mul=1, Add=1, Mish=1,
        MatMul=1,
    ),
}  # fmt: skip


@cache
def network(family):
    torch.manual_seed(0)
    model = family().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight)
    return model


def exported(family, exporter, opset):
    names = {"input_names": ["image"], "output_names": ["logits"], "opset_version": opset}
    model, example = network(family), (torch.rand(2, 3, 8, 8),)
    if exporter == "dynamo":
        batch = ({0: torch.export.Dim("batch")},)
        return torch.onnx.export(
            model, example, dynamo=True, dynamic_shapes=batch, verbose=False, **names
        ).model_proto
    buffer = BytesIO()
    axes = {"image": {0: "batch"}, "logits": {0: "batch"}}
    torch.onnx.export(model, example, buffer, dynamo=False, dynamic_axes=axes, **names)
    return onnx.load_model_from_string(buffer.getvalue())


@pytest.mark.parametrize(("exporter", "opset"), EXPORTS)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_one_form_whatever_the_exporter(family, exporter, opset):
    result = check(exported(family, exporter, opset))
    assert Counter(node.op_type for node in result.graph.node) == FAMILIES[family]
