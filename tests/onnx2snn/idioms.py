"""Small networks with the idioms of real ones, the inputs each takes and the sites it has."""

import torch
import torch.nn.functional as F
from torch import nn

WIDTH, HEADS = 16, 2


class Attention(nn.Module):
    """Queries, keys and values by one weight."""

    def __init__(self, causal=False, by_hand=False):
        super().__init__()
        self.causal, self.by_hand = causal, by_hand
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def heads(self, x):
        shape = (*x.shape[:2], HEADS, WIDTH // HEADS)
        return (part.view(shape).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))

    def joined(self, mixed):
        mixed = mixed.transpose(1, 2)
        return self.out(mixed.reshape(mixed.shape[0], mixed.shape[1], WIDTH))

    def forward(self, x):
        query, key, values = self.heads(x)
        if not self.by_hand:
            mixed = F.scaled_dot_product_attention(query, key, values, is_causal=self.causal)
            return self.joined(mixed)
        scores = query @ key.transpose(-1, -2) * (WIDTH // HEADS) ** -0.5
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(later, float("-inf"))
        return self.joined(scores.softmax(-1) @ values)


class Masked(Attention):
    """The mask of Hugging Face's models: the lowest number where nothing is to be seen."""

    def forward(self, x, mask):
        query, key, values = self.heads(x)
        low = (1.0 - mask[:, None, None, :].to(x.dtype)) * torch.finfo(x.dtype).min
        return self.joined(F.scaled_dot_product_attention(query, key, values, attn_mask=low))


class Einsum(Attention):
    def forward(self, x):
        batch, length, _ = x.shape
        shape = (batch, length, 3, HEADS, WIDTH // HEADS)
        query, key, values = self.qkv(x).view(shape).unbind(2)
        scores = torch.einsum("bqhd,bkhd->bhqk", query, key).softmax(-1)
        mixed = torch.einsum("bhqk,bkhd->bqhd", scores, values)
        return self.out(mixed.reshape(batch, length, WIDTH))


class MultiHead(nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.weights = weights
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=self.weights)[0]


class Encoder(nn.Module):
    def __init__(self, activation="gelu", norm_first=False):
        super().__init__()
        how = {"batch_first": True, "activation": activation, "norm_first": norm_first}
        self.layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 32, **how)

    def forward(self, x):
        return self.layer(x)


class Padded(Encoder):
    def forward(self, x, mask):
        return self.layer(x, src_key_padding_mask=mask == 0)


class Language(nn.Module):
    """Positions counted, and the embedding's weight read once more at the end."""

    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(30, WIDTH), nn.Embedding(16, WIDTH)
        self.encoder = Encoder("relu", norm_first=True)

    def forward(self, ids):
        x = self.words(ids) + self.places(torch.arange(ids.shape[1]))
        return self.encoder(x) @ self.words.weight.T


class Rotary(nn.Module):
    """Rotated positions, and fewer heads of keys than of queries."""

    def __init__(self, groups):
        super().__init__()
        self.groups, self.query = groups, nn.Linear(WIDTH, WIDTH)
        self.key, self.value = nn.Linear(WIDTH, 4 * groups), nn.Linear(WIDTH, 4 * groups)
        self.register_buffer("rates", 1.0 / (10000 ** (torch.arange(0, 4, 2).float() / 4)))

    def rotated(self, x, cosine, sine):
        return x * cosine + torch.cat([-x[..., 2:], x[..., :2]], -1) * sine

    def forward(self, x):
        batch, length, _ = x.shape
        angles = torch.outer(torch.arange(length).float(), self.rates)
        angles = torch.cat([angles, angles], -1)
        sizes = ((self.query, 4), (self.key, self.groups), (self.value, self.groups))
        query, key, value = (f(x).view(batch, length, n, 4).transpose(1, 2) for f, n in sizes)
        query, key = (self.rotated(part, angles.cos(), angles.sin()) for part in (query, key))
        wide = (batch, self.groups, 4 // self.groups, length, 4)
        key, value = (
            part[:, :, None].expand(wide).reshape(batch, 4, length, 4) for part in (key, value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return mixed.transpose(1, 2).reshape(batch, length, WIDTH)


class Swin(nn.Module):
    """Attention in shifted windows with a bias by relative position."""

    def __init__(self, window=4, extent=8, shift=2):
        super().__init__()
        self.window, self.extent, self.shift = window, extent, shift
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.table = nn.Parameter(torch.randn((2 * window - 1) ** 2, HEADS))
        grid = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
        places = torch.stack(grid).flatten(1)
        offset = (places[:, :, None] - places[:, None]).permute(1, 2, 0) + window - 1
        self.register_buffer("index", offset[..., 0] * (2 * window - 1) + offset[..., 1])
        mask = torch.zeros(extent // window * extent // window, window**2, window**2)
        mask[1:, : window**2 // 2, window**2 // 2 :] = -100.0
        self.register_buffer("mask", mask)

    def forward(self, x):
        batch, window, count = x.shape[0], self.window, self.extent // self.window
        y = torch.roll(self.norm(x), (-self.shift, -self.shift), (1, 2))
        y = y.view(batch, count, window, count, window, WIDTH).permute(0, 1, 3, 2, 4, 5)
        shape = (-1, window**2, 3, HEADS, WIDTH // HEADS)
        query, key, values = (
            self.qkv(y.reshape(-1, window**2, WIDTH))
            .reshape(shape)
            .permute(2, 0, 3, 1, 4)
            .unbind(0)
        )
        bias = self.table[self.index.view(-1)].view(window**2, window**2, HEADS).permute(2, 0, 1)
        scores = query @ key.transpose(-1, -2) * (WIDTH // HEADS) ** -0.5 + bias[None]
        scores = scores.view(-1, len(self.mask), HEADS, window**2, window**2)
        scores = (scores + self.mask[None, :, None]).view(-1, HEADS, window**2, window**2)
        y = (scores.softmax(-1) @ values).transpose(1, 2).reshape(-1, window**2, WIDTH)
        y = self.out(y).view(batch, count, count, window, window, WIDTH)
        y = y.permute(0, 1, 3, 2, 4, 5).reshape(batch, self.extent, self.extent, WIDTH)
        return x + torch.roll(y, (self.shift, self.shift), (1, 2))


class ViT(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches, self.head = nn.Conv2d(3, WIDTH, 4, 4), nn.Linear(WIDTH, 4)
        self.first = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.places = nn.Parameter(torch.randn(1, 5, WIDTH))
        self.encoder = Encoder("gelu", norm_first=True)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(x.shape[0], -1, -1), x], 1) + self.places
        return self.head(self.encoder(x)[:, 0])


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
