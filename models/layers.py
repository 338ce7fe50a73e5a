"""Parts that several families share, and the random initialisation of them all."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn


class Permute(nn.Module):
    """Reorders the axes of a tensor."""

    def __init__(self, *axes: int) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, x: Tensor) -> Tensor:
        """The axes of x in the order given."""
        return x.permute(self.axes)


class PatchEmbedding(nn.Module):
    """Non-overlapping patches, each a token."""

    def __init__(self, in_channels: int, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, width, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, H * W / patch^2, width]."""
        tokens: Tensor = self.proj(x).flatten(2).transpose(1, 2)
        return tokens


class Mlp(nn.Module):
    """fc2(gelu(fc1(x))) over the last axis."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] -> [..., width]."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


def conv_norm(
    in_channels: int,
    out_channels: int,
    kernel: int,
    stride: int = 1,
    *,
    groups: int = 1,
    relu: bool = True,
) -> nn.Sequential:
    """Convolution without bias, batch normalisation and, unless refused, ReLU."""
    padding = kernel // 2
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False)
    parts: list[nn.Module] = [conv, nn.BatchNorm2d(out_channels)]
    return nn.Sequential(*parts, nn.ReLU()) if relu else nn.Sequential(*parts)


def initialize(module: nn.Module) -> None:
    """Draws weights that keep the activations' scale through ReLU (He et al., 2015).

    Biases and running statistics are drawn too, so that folding or dropping one of them
    shows. What damps the residual branches (layer scale, the gain of a branch's last batch
    normalisation) stays as the constructors set it: about depth^-1/2.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.normal_(part.weight, std=math.sqrt(2 / part.weight[0].numel()))
            if part.bias is not None:
                nn.init.normal_(part.bias, std=0.02)
        elif isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None and part.running_var is not None
            nn.init.normal_(part.running_mean, std=0.1)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
