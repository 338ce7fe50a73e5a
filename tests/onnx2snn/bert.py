"""A small network with the parts of BERT, written as onnxruntime's tools look for it."""

import math

import torch
from torch import nn


class SelfAttention(nn.Module):
    """As in BERT."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))

    def split(self, x):
        return x.view(x.shape[0], x.shape[1], self.heads, self.size).permute(0, 2, 1, 3)

    def forward(self, x, mask):
        query, key, values = (self.split(f(x)) for f in (self.query, self.key, self.value))
        scores = query @ key.transpose(-1, -2) / math.sqrt(self.size) + mask
        mixed = (torch.softmax(scores, -1) @ values).permute(0, 2, 1, 3).contiguous()
        return mixed.view(mixed.shape[0], mixed.shape[1], self.heads * self.size)


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attention, self.out = SelfAttention(width, heads), nn.Linear(width, width)
        self.norm, self.last = (nn.LayerNorm(width, eps=1e-12) for _ in range(2))
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x, mask):
        x = self.norm(self.out(self.attention(x, mask)) + x)
        return self.last(self.down(nn.functional.gelu(self.up(x))) + x)


class Bert(nn.Module):
    def __init__(self, width=32, heads=4, layers=2):
        super().__init__()
        self.words, self.places = nn.Embedding(50, width), nn.Embedding(16, width)
        self.kinds, self.norm = nn.Embedding(2, width), nn.LayerNorm(width, eps=1e-12)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.head = nn.Linear(width, 3)
        self.register_buffer("places_of", torch.arange(16)[None])

    def forward(self, input_ids, attention_mask, token_type_ids):
        mask = (1.0 - attention_mask[:, None, None, :].float()) * -10000.0
        places = self.places(self.places_of[:, : input_ids.shape[1]])
        x = self.norm(self.words(input_ids) + self.kinds(token_type_ids) + places)
        for layer in self.layers:
            x = layer(x, mask)
        return self.head(x[:, 0])
