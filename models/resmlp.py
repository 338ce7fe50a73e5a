"""ResMLP (Touvron et al., 2021, arXiv:2105.03404), parameters named as in timm."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.layers import Mlp, PatchEmbedding


class Affine(nn.Module):
    """alpha * x + beta per channel, in place of a normalisation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, 1, width))
        self.beta = nn.Parameter(torch.zeros(1, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        """Keeps the shape [N, tokens, width]."""
        return self.alpha * x + self.beta


class ResMlpBlock(nn.Module):
    """x + ls1 * linear over the tokens, then x + ls2 * mlp over the channels."""

    def __init__(self, width: int, tokens: int, layer_scale: float) -> None:
        super().__init__()
        self.norm1 = Affine(width)
        self.linear_tokens = nn.Linear(tokens, tokens)
        self.norm2 = Affine(width)
        self.mlp_channels = Mlp(width, 4 * width)
        self.ls1 = nn.Parameter(torch.full((width,), layer_scale))
        self.ls2 = nn.Parameter(torch.full((width,), layer_scale))

    def forward(self, x: Tensor) -> Tensor:
        """Keeps the shape [N, tokens, width]."""
        mixed = self.linear_tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        x = x + self.ls1 * mixed
        out: Tensor = x + self.ls2 * self.mlp_channels(self.norm2(x))
        return out


class ResMlp(nn.Module):
    """Blocks over a fixed number of tokens, their mean classified."""

    def __init__(
        self,
        *,
        depth: int,
        width: int,
        patch: int,
        image_size: int,
        in_channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        tokens = (image_size // patch) ** 2
        scale = depth**-0.5
        self.stem = PatchEmbedding(in_channels, width, patch)
        self.blocks = nn.Sequential(*(ResMlpBlock(width, tokens, scale) for _ in range(depth)))
        self.norm = Affine(width)
        self.head = nn.Linear(width, classes)

    def forward(self, image: Tensor) -> Tensor:
        """[N, C, H, H] -> [N, classes]."""
        x = self.norm(self.blocks(self.stem(image)))
        logits: Tensor = self.head(x.mean(dim=1))
        return logits


def resmlp_s24() -> ResMlp:
    """ResMLP-S24, 30.0 M parameters."""
    return ResMlp(depth=24, width=384, patch=16, image_size=224, in_channels=3, classes=1000)


def digits_resmlp() -> ResMlp:
    """Six blocks over the 16 patches of a 16x16 digit."""
    return ResMlp(depth=6, width=48, patch=4, image_size=16, in_channels=1, classes=10)
