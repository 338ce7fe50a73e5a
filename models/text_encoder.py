"""A small BERT-style encoder (Devlin et al., 2018, arXiv:1810.04805) that classifies snippets."""

from __future__ import annotations

import math
import os

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAX_TOKENS = 64


class SelfAttention(nn.Module):
    """softmax(q k^T / sqrt(d) + mask) v for each head, written out in plain operators."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.divisor = math.sqrt(width // heads)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def split(self, x: Tensor) -> Tensor:
        """[N, L, width] -> [N, heads, L, width / heads]."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Keeps the shape [N, L, width]; mask [N, 1, 1, L] is added to the scores."""
        query, key, value = (self.split(part(x)) for part in (self.query, self.key, self.value))
        scores = query @ key.transpose(2, 3) / self.divisor
        context = (scores + mask).softmax(3) @ value
        output: Tensor = self.output(context.transpose(1, 2).flatten(2))
        return output


class EncoderLayer(nn.Module):
    """norm(x + attention(x)), then norm(x + fc2(gelu(fc1(x)))): normalised after the sum."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = SelfAttention(width, heads)
        self.attention_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.output_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Keeps the shape [N, L, width]."""
        x = self.attention_norm(x + self.dropout(self.attention(x, mask)))
        out: Tensor = self.output_norm(x + self.dropout(self.fc2(F.gelu(self.fc1(x)))))
        return out


class TextEncoder(nn.Module):
    """Token and position embeddings, encoder layers, and the mean over the tokens, classified."""

    positions: Tensor

    def __init__(
        self,
        *,
        vocabulary: int,
        classes: int,
        width: int = 64,
        depth: int = 6,
        heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.places = nn.Embedding(MAX_TOKENS, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            EncoderLayer(width, heads, 4 * width, dropout) for _ in range(depth)
        )
        self.head = nn.Linear(width, classes)
        self.register_buffer("positions", torch.arange(MAX_TOKENS), persistent=False)
        self.apply(initialize)

    def encode(self, input_ids: Tensor, present: Tensor) -> Tensor:
        """Tokens int64 [N, L], 1.0 at tokens and 0.0 at padding [N, L] -> [N, L, width]."""
        mask = (1.0 - present[:, None, None, :]) * torch.finfo(present.dtype).min
        places = self.places(self.positions[: input_ids.shape[1]])
        x: Tensor = self.dropout(self.norm(self.tokens(input_ids) + places))
        for layer in self.layers:
            x = layer(x, mask)
        return x

    def classify(self, x: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [N, classes] and the mean over the tokens [N, width] of what was encoded."""
        count = present.sum(1, keepdim=True).clamp(min=1.0)
        embedding = (x * present[:, :, None]).sum(1) / count
        return self.head(embedding), embedding

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """int64 [N, L] twice, 1 at tokens and 0 at padding -> [N, classes], [N, width]."""
        present = attention_mask.to(self.head.weight.dtype)
        return self.classify(self.encode(input_ids, present), present)


def initialize(part: nn.Module) -> None:
    """Draws weights as BERT does: normal, small, without biases."""
    if isinstance(part, nn.Linear | nn.Embedding):
        nn.init.normal_(part.weight, std=0.02)
    if isinstance(part, nn.Linear):
        nn.init.zeros_(part.bias)


def export_text(module: TextEncoder, path: str | os.PathLike[str], *, opset: int = 17) -> None:
    """Writes "input_ids", "attention_mask" -> "logits", "embedding", any batch and length."""
    ids = torch.zeros(2, 8, dtype=torch.int64)
    sequence, batch = {0: "batch", 1: "sequence"}, {0: "batch"}
    torch.onnx.export(
        module.eval(),
        (ids, torch.ones_like(ids)),
        os.fspath(path),
        input_names=["input_ids", "attention_mask"],
        output_names=["logits", "embedding"],
        opset_version=opset,
        dynamo=False,
        verbose=False,
        dynamic_axes={
            "input_ids": sequence,
            "attention_mask": sequence,
            "logits": batch,
            "embedding": batch,
        },
    )
