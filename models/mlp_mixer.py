"""MLP-Mixer (Tolstikhin et al., 2021, arXiv:2105.01601), parameters named as in timm."""

from __future__ import annotations

from torch import Tensor, nn

from models.layers import Mlp, PatchEmbedding

EPSILON = 1e-6


class MixerBlock(nn.Module):
    """x + mlp over the tokens, then x + mlp over the channels, each of norm(x)."""

    def __init__(self, width: int, tokens: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, EPSILON)
        self.mlp_tokens = Mlp(tokens, width // 2)
        self.norm2 = nn.LayerNorm(width, EPSILON)
        self.mlp_channels = Mlp(width, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        """Keeps the shape [N, tokens, width]."""
        x = x + self.mlp_tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        out: Tensor = x + self.mlp_channels(self.norm2(x))
        return out


class MlpMixer(nn.Module):
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
        self.stem = PatchEmbedding(in_channels, width, patch)
        self.blocks = nn.Sequential(*(MixerBlock(width, tokens) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, EPSILON)
        self.head = nn.Linear(width, classes)

    def forward(self, image: Tensor) -> Tensor:
        """[N, C, H, H] -> [N, classes]."""
        x = self.norm(self.blocks(self.stem(image)))
        logits: Tensor = self.head(x.mean(dim=1))
        return logits


def mlp_mixer_b32() -> MlpMixer:
    """Mixer-B/32, 60.3 M parameters."""
    return MlpMixer(depth=12, width=768, patch=32, image_size=224, in_channels=3, classes=1000)


def digits_mlp_mixer() -> MlpMixer:
    """Six blocks over the 16 patches of a 16x16 digit."""
    return MlpMixer(depth=6, width=48, patch=4, image_size=16, in_channels=1, classes=10)
