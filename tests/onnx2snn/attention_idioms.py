"""Attention as real networks write it."""

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
