"""ResNet (He et al., 2015, arXiv:1512.03385), parameters named as in torchvision."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import conv_norm


class BasicBlock(nn.Module):
    """relu(shortcut(x) + bn2(conv2(relu(bn1(conv1(x))))))."""

    def __init__(self, before: int, width: int, stride: int, gain: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        nn.init.constant_(self.bn2.weight, gain)
        changed = before != width or stride != 1
        self.downsample = conv_norm(before, width, 1, stride, relu=False) if changed else None

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, width, H / stride, W / stride]."""
        branch = F.relu(self.bn1(self.conv1(x)))
        branch = self.bn2(self.conv2(branch))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(shortcut + branch)


class ResNet(nn.Module):
    """A stem with padded 3x3 max pooling and stages of basic blocks, each but the first halving."""

    def __init__(
        self,
        *,
        depths: Sequence[int],
        widths: Sequence[int],
        stem_kernel: int,
        stem_stride: int,
        in_channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        padding = stem_kernel // 2
        before = widths[0]
        gain = sum(depths) ** -0.5
        self.conv1 = nn.Conv2d(in_channels, before, stem_kernel, stem_stride, padding, bias=False)
        self.bn1 = nn.BatchNorm2d(before)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.stages: list[str] = []
        for number, (depth, width) in enumerate(zip(depths, widths, strict=True), 1):
            stage = nn.Sequential()
            for index in range(depth):
                stride = 2 if number > 1 and index == 0 else 1
                stage.append(BasicBlock(before, width, stride, gain))
                before = width
            self.stages.append(f"layer{number}")
            self.add_module(self.stages[-1], stage)
        self.fc = nn.Linear(before, classes)

    def forward(self, image: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, classes]."""
        x = self.maxpool(F.relu(self.bn1(self.conv1(image))))
        for stage in self.stages:
            x = self.get_submodule(stage)(x)
        logits: Tensor = self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


def resnet34() -> ResNet:
    """ResNet34, 21.8 M parameters."""
    return ResNet(
        depths=(3, 4, 6, 3),
        widths=(64, 128, 256, 512),
        stem_kernel=7,
        stem_stride=2,
        in_channels=3,
        classes=1000,
    )


def digits_resnet() -> ResNet:
    """Five blocks on 16x16 digits."""
    return ResNet(
        depths=(2, 2, 1),
        widths=(16, 32, 64),
        stem_kernel=3,
        stem_stride=1,
        in_channels=1,
        classes=10,
    )
