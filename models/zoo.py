"""The table of models; building them, from a seed or a checkpoint, and exporting them to ONNX."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn

from models.convnext import convnext_base, digits_convnext
from models.layers import initialize
from models.mlp_mixer import digits_mlp_mixer, mlp_mixer_b32
from models.regnet import digits_regnet, regnetx_3_2gf
from models.resmlp import digits_resmlp, resmlp_s24
from models.resnet import digits_resnet, resnet34
from models.vgg import digits_vgg, vgg16

IMAGENET = (3, 224, 224)
DIGIT = (1, 16, 16)

# Below it, torch's dynamo exporter warns and writes a file of this opset instead.
DYNAMO_MIN_OPSET = 18


@dataclass(frozen=True)
class Entry:
    """One model: its builder, the shape of one image, and whose parameter names it keeps."""

    builder: Callable[[], nn.Module]
    image_shape: tuple[int, int, int]
    classes: int
    names_from: str


ZOO: Mapping[str, Entry] = MappingProxyType(
    {
        "convnext_base": Entry(convnext_base, IMAGENET, 1000, "torchvision convnext_base"),
        "mlp_mixer_b32": Entry(mlp_mixer_b32, IMAGENET, 1000, "timm mixer_b32_224"),
        "resmlp_s24": Entry(resmlp_s24, IMAGENET, 1000, "timm resmlp_24_224"),
        "regnetx_3_2gf": Entry(regnetx_3_2gf, IMAGENET, 1000, "torchvision regnet_x_3_2gf"),
        "vgg16": Entry(vgg16, IMAGENET, 1000, "torchvision vgg16"),
        "resnet34": Entry(resnet34, IMAGENET, 1000, "torchvision resnet34"),
        "digits_convnext": Entry(digits_convnext, DIGIT, 10, "models/weights"),
        "digits_mlp_mixer": Entry(digits_mlp_mixer, DIGIT, 10, "models/weights"),
        "digits_resmlp": Entry(digits_resmlp, DIGIT, 10, "models/weights"),
        "digits_regnet": Entry(digits_regnet, DIGIT, 10, "models/weights"),
        "digits_vgg": Entry(digits_vgg, DIGIT, 10, "models/weights"),
        "digits_resnet": Entry(digits_resnet, DIGIT, 10, "models/weights"),
    }
)


def entry(name: str) -> Entry:
    """The table's line for a name; an unknown name is a ValueError that lists them all."""
    if name not in ZOO:
        raise ValueError(f"unknown model {name!r}; choose from {', '.join(ZOO)}")
    return ZOO[name]


def build(name: str, *, seed: int = 0, checkpoint: Path | None = None) -> nn.Module:
    """A model in evaluation mode, its weights drawn from the seed or read from a checkpoint."""
    builder = entry(name).builder
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = builder()
        if checkpoint is None:
            initialize(module)
    if checkpoint is not None:
        module.load_state_dict(read_checkpoint(checkpoint), strict=True)
    return module.eval()


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The state dict in a torch file, be it the whole file or under "model" or "state_dict"."""
    if path.suffix == ".safetensors":
        raise ValueError(f"{path}: safetensors files are not read; save it with torch.save first")
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("model", "state_dict"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise ValueError(f"{path}: not a state dict, nor one under 'model' or 'state_dict'")
    return loaded


def export(
    module: nn.Module,
    path: str | os.PathLike[str],
    input_shape: Sequence[int],
    *,
    opset: int = 20,
    exporter: Literal["torchscript", "dynamo"] = "torchscript",
) -> None:
    """Writes [batch, *input_shape] "image" -> "logits" as one ONNX file with a dynamic batch."""
    if exporter not in ("torchscript", "dynamo"):
        raise ValueError(f"unknown exporter {exporter!r}; choose torchscript or dynamo")
    dynamo = exporter == "dynamo"
    if dynamo and opset < DYNAMO_MIN_OPSET:
        raise ValueError(f"opset {opset}: the dynamo exporter starts at {DYNAMO_MIN_OPSET}")
    batch = {0: "batch"}
    torch.onnx.export(
        module.eval(),
        (torch.zeros(2, *input_shape),),
        os.fspath(path),
        input_names=["image"],
        output_names=["logits"],
        opset_version=opset,
        dynamo=dynamo,
        external_data=False,
        verbose=False,
        dynamic_axes=None if dynamo else {"image": batch, "logits": batch},
        dynamic_shapes=({0: torch.export.Dim("batch")},) if dynamo else None,
    )
