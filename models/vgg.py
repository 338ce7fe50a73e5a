"""VGG (Simonyan and Zisserman, 2014, arXiv:1409.1556), parameters named as in torchvision."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class Vgg(nn.Module):
    """3x3 convolutions, a 2x2 max pooling after each group, three fully connected layers."""

    def __init__(
        self,
        *,
        groups: Sequence[Sequence[int]],
        batch_norm: bool,
        hidden: int,
        image_size: int,
        in_channels: int,
        classes: int,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        before = in_channels
        for group in groups:
            for width in group:
                parts.append(nn.Conv2d(before, width, 3, padding=1))
                if batch_norm:
                    parts.append(nn.BatchNorm2d(width))
                parts.append(nn.ReLU())
                before = width
            parts.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*parts)
        self.classifier = nn.Sequential(
            nn.Linear(before * (image_size >> len(groups)) ** 2, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )

    def forward(self, image: Tensor) -> Tensor:
        """[N, C, H, H] -> [N, classes], H as given to the constructor."""
        logits: Tensor = self.classifier(self.features(image).flatten(1))
        return logits


def vgg16() -> Vgg:
    """VGG16, 138.4 M parameters, without batch normalisation."""
    return Vgg(
        groups=((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3),
        batch_norm=False,
        hidden=4096,
        image_size=224,
        in_channels=3,
        classes=1000,
    )


def digits_vgg() -> Vgg:
    """Six convolutions with batch normalisation on 16x16 digits."""
    return Vgg(
        groups=((16,) * 2, (32,) * 2, (48,) * 2),
        batch_norm=True,
        hidden=64,
        image_size=16,
        in_channels=1,
        classes=10,
        dropout=0.1,
    )
