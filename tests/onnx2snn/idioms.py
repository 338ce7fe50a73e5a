"""Small networks with the idioms of real ones, the inputs each takes and the sites it has."""

import torch
import torch.nn.functional as F
from attention_idioms import (
    WIDTH,
    Attention,
    Einsum,
    Encoder,
    Language,
    Masked,
    MultiHead,
    Padded,
    Rotary,
    Swin,
    ViT,
)
from torch import nn


class Convolution(nn.Module):
    """One convolution, and what a function makes of it."""

    def __init__(self, channels, function, **layers):
        super().__init__()
        self.convolution, self.function = nn.Conv2d(3, channels, 3, padding=1), function
        self.layers = nn.ModuleDict(layers)

    def forward(self, *inputs):
        return self.function(self.layers, self.convolution(inputs[0]), *inputs[1:])


def squeeze(layers, x):
    gate = layers["excite"](F.relu(layers["squeeze"](F.adaptive_avg_pool2d(x, 1))))
    return x * torch.sigmoid(gate)


def shuffle(layers, x):
    batch, channels, high, wide = x.shape
    x = F.relu(x).view(batch, 3, channels // 3, high, wide).transpose(1, 2)
    x = F.relu(layers["group"](x.reshape(batch, channels, high, wide)))
    return F.pixel_shuffle(F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2), 2)


def upsample(mode, **how):
    return lambda layers, x: F.interpolate(F.relu(x), scale_factor=2, mode=mode, **how)


def upsample_to(mode):
    def function(layers, x):
        x = F.relu(x)
        return F.interpolate(F.max_pool2d(x, 2), size=x.shape[2:], mode=mode) + x

    return function


def pools(layers, x):
    x = F.relu(x)
    parts = [F.adaptive_avg_pool2d(x, (2, 4)), F.adaptive_max_pool2d(x, 2)]
    parts.append(F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False))
    return torch.cat([part.flatten(1) for part in parts], 1)


def strided(layers, x):
    x = F.relu(x)
    rows = [x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    x = layers["norm"](torch.cat(rows, 1).permute(0, 2, 3, 1))
    return layers["reduce"](x.permute(0, 3, 1, 2))


def convnext(layers, x):
    y = layers["down"](F.gelu(layers["up"](layers["norm"](x.permute(0, 2, 3, 1)))))
    return layers["grow"](x + 0.3 * y.permute(0, 3, 1, 2))


def film(layers, x, condition):
    gain, bias = layers["condition"](condition)[:, :, None, None].chunk(2, 1)
    return F.relu(F.relu(x) * (1 + gain) + bias)


class Gated(nn.Module):
    def __init__(self, gate):
        super().__init__()
        self.gate, self.up, self.down = gate, nn.Linear(WIDTH, 64), nn.Linear(32, WIDTH)

    def forward(self, x):
        left, right = self.up(x).chunk(2, -1)
        return self.down(self.gate(left) * right)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        return F.relu(self.layer(F.relu(self.layer(F.relu(self.layer(x))))))


def extrema(x):
    return torch.maximum(x, x.flip(-1)) + F.leaky_relu(x) * F.hardsigmoid(x)


SEQUENCE, IMAGE = ("sequence",), ("image",)
ENCODER = {"LayerNormalization": 2, "Softmax": 1}
PATTERNS = {
    "attention": (lambda: Attention(), SEQUENCE, {"Softmax": 1}),
    "causal": (lambda: Attention(causal=True), SEQUENCE, {"Softmax": 1}),
    "causal by hand": (lambda: Attention(by_hand=True), SEQUENCE, {"Softmax": 1}),
    "masked": (Masked, ("sequence", "mask"), {"Softmax": 1}),
    "einsum": (Einsum, SEQUENCE, {"Softmax": 1}),
    "multi-head": (lambda: MultiHead(False), SEQUENCE, {"Softmax": 1}),
    "multi-head with weights": (lambda: MultiHead(True), SEQUENCE, {"Softmax": 1}),
    "encoder": (Encoder, SEQUENCE, ENCODER | {"Gelu": 1}),
    "encoder, norm first": (lambda: Encoder("relu", True), SEQUENCE, ENCODER | {"Relu": 1}),
    "padded": (Padded, ("sequence", "mask"), ENCODER | {"Gelu": 1}),
    "language": (Language, ("ids",), ENCODER | {"Relu": 1}),
    "rotary": (lambda: Rotary(2), SEQUENCE, {"Softmax": 1}),
    "swin": (Swin, ("field",), {"LayerNormalization": 1, "Softmax": 1}),
    "vit": (ViT, IMAGE, ENCODER | {"Gelu": 1}),
    "squeeze": (
        lambda: Convolution(
            8, squeeze, squeeze=nn.Conv2d(8, 2, 1), excite=nn.Conv2d(2, 8, 1)
        ),
        IMAGE,
        {"Relu": 1, "Sigmoid": 1},
    ),
    "shuffle": (
        lambda: Convolution(12, shuffle, group=nn.Conv2d(12, 12, 3, padding=1, groups=3)),
        IMAGE,
        {"Relu": 2},
    ),
    "up, nearest": (lambda: Convolution(4, upsample("nearest")), IMAGE, {"Relu": 1}),
    "up, linear": (lambda: Convolution(4, upsample("bilinear")), IMAGE, {"Relu": 1}),
    "up, corners": (
        lambda: Convolution(4, upsample("bilinear", align_corners=True)), IMAGE, {"Relu": 1}
    ),
    "up, cubic": (lambda: Convolution(4, upsample("bicubic")), IMAGE, {"Relu": 1}),
    "up to size": (
        lambda: Convolution(4, upsample_to("nearest")), IMAGE, {"Relu": 1, "MaxPool": 1}
    ),
    "pools": (lambda: Convolution(4, pools), IMAGE, {"Relu": 1, "MaxPool": 1}),
    "strided": (
        lambda: Convolution(4, strided, norm=nn.LayerNorm(16), reduce=nn.Conv2d(16, 8, 1)),
        IMAGE,
        {"Relu": 1, "LayerNormalization": 1},
    ),
    "convnext": (
        lambda: Convolution(
            8,
            convnext,
            norm=nn.LayerNorm(8),
            up=nn.Linear(8, 32),
            down=nn.Linear(32, 8),
            grow=nn.ConvTranspose2d(8, 4, 2, 2),
        ),
        IMAGE,
        {"LayerNormalization": 1, "Gelu": 1},
    ),
    "film": (
        lambda: Convolution(8, film, condition=nn.Linear(WIDTH, 16)),
        ("image", "vector"),
        {"Relu": 2},
    ),
    "glu": (lambda: Gated(torch.sigmoid), SEQUENCE, {"Sigmoid": 1}),
    "swiglu": (lambda: Gated(F.silu), SEQUENCE, {"Swish": 1}),
    "geglu": (lambda: Gated(F.gelu), SEQUENCE, {"Gelu": 1}),
    "extrema": (
        lambda: Gated(extrema), SEQUENCE, {"Max": 1, "LeakyRelu": 1, "HardSigmoid": 1}
    ),
    "tied": (Tied, SEQUENCE, {"Relu": 3}),
}  # fmt: skip
