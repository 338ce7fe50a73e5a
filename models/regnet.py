"""RegNetX (Radosavovic et al., 2020, arXiv:2003.13678), parameters named as in torchvision."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import conv_norm


class XBlock(nn.Module):
    """relu(shortcut(x) + f(x)); f is a bottleneck of ratio 1 around a group convolution."""

    def __init__(self, before: int, width: int, stride: int, group_width: int, gain: float) -> None:
        super().__init__()
        changed = before != width or stride != 1
        self.proj = conv_norm(before, width, 1, stride, relu=False) if changed else None
        groups = width // group_width
        self.f = nn.Sequential(
            OrderedDict(
                a=conv_norm(before, width, 1),
                b=conv_norm(width, width, 3, stride, groups=groups),
                c=conv_norm(width, width, 1, relu=False),
            )
        )
        nn.init.constant_(self.f.get_parameter("c.1.weight"), gain)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, width, H / stride, W / stride]."""
        shortcut = x if self.proj is None else self.proj(x)
        return F.relu(shortcut + self.f(x))


class RegNetX(nn.Module):
    """Stages that each begin with stride 2, pooled and classified."""

    def __init__(
        self,
        *,
        depths: Sequence[int],
        widths: Sequence[int],
        group_width: int,
        stem_width: int,
        stem_stride: int,
        in_channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        gain = sum(depths) ** -0.5
        self.stem = conv_norm(in_channels, stem_width, 3, stem_stride)
        self.trunk_output = nn.Sequential()
        before = stem_width
        for number, (depth, width) in enumerate(zip(depths, widths, strict=True), 1):
            stage = nn.Sequential()
            for index in range(depth):
                stride = 1 if index else 2
                block = XBlock(before, width, stride, group_width, gain)
                stage.add_module(f"block{number}-{index}", block)
                before = width
            self.trunk_output.add_module(f"block{number}", stage)
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, image: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, classes]."""
        features = self.trunk_output(self.stem(image))
        logits: Tensor = self.fc(F.adaptive_avg_pool2d(features, 1).flatten(1))
        return logits


def regnetx_3_2gf() -> RegNetX:
    """RegNetX-3.2GF, 15.3 M parameters."""
    return RegNetX(
        depths=(2, 6, 15, 2),
        widths=(96, 192, 432, 1008),
        group_width=48,
        stem_width=32,
        stem_stride=2,
        in_channels=3,
        classes=1000,
    )


def digits_regnet() -> RegNetX:
    """Five blocks on 16x16 digits."""
    return RegNetX(
        depths=(1, 2, 2),
        widths=(24, 48, 72),
        group_width=8,
        stem_width=16,
        stem_stride=1,
        in_channels=1,
        classes=10,
    )
