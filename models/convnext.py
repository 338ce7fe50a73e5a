"""ConvNeXt (Liu et al., 2022, arXiv:2201.03545), parameters named as in torchvision."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import Permute

EPSILON = 1e-6


class LayerNorm2d(nn.LayerNorm):
    """Layer normalisation over the channels of [N, C, H, W]."""

    def forward(self, x: Tensor) -> Tensor:
        """Keeps the shape [N, C, H, W]."""
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class Block(nn.Module):
    """x + scale * mlp(norm(depthwise(x))), the inner part with channels last.

    The stochastic depth of training is the identity here.
    """

    def __init__(self, width: int, layer_scale: float) -> None:
        super().__init__()
        self.layer_scale = nn.Parameter(torch.full((width, 1, 1), layer_scale))
        self.block = nn.Sequential(
            nn.Conv2d(width, width, 7, padding=3, groups=width),
            Permute(0, 2, 3, 1),
            nn.LayerNorm(width, EPSILON),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
            Permute(0, 3, 1, 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Keeps the shape [N, C, H, W]."""
        branch: Tensor = self.block(x)
        return x + self.layer_scale * branch


class ConvNeXt(nn.Module):
    """Stages of blocks, a strided convolution between them, pooled and classified."""

    def __init__(
        self,
        *,
        depths: Sequence[int],
        widths: Sequence[int],
        patch: int,
        in_channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        scale = sum(depths) ** -0.5
        stem = nn.Conv2d(in_channels, widths[0], patch, patch)
        parts = [nn.Sequential(stem, LayerNorm2d(widths[0], EPSILON))]
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            if stage:
                before = widths[stage - 1]
                down = nn.Conv2d(before, width, 2, 2)
                parts.append(nn.Sequential(LayerNorm2d(before, EPSILON), down))
            parts.append(nn.Sequential(*(Block(width, scale) for _ in range(depth))))
        self.features = nn.Sequential(*parts)
        self.classifier = nn.Sequential(
            LayerNorm2d(widths[-1], EPSILON), nn.Flatten(1), nn.Linear(widths[-1], classes)
        )

    def forward(self, image: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, classes]."""
        pooled = F.adaptive_avg_pool2d(self.features(image), 1)
        logits: Tensor = self.classifier(pooled)
        return logits


def convnext_base() -> ConvNeXt:
    """ConvNeXt-B, 88.6 M parameters."""
    return ConvNeXt(
        depths=(3, 3, 27, 3),
        widths=(128, 256, 512, 1024),
        patch=4,
        in_channels=3,
        classes=1000,
    )


def digits_convnext() -> ConvNeXt:
    """Six blocks on 16x16 digits."""
    return ConvNeXt(depths=(2, 4), widths=(24, 48), patch=2, in_channels=1, classes=10)
