"""Checks the paper's models against torchvision and timm, which no test needs installed.

Writes tests/data/models/names.json.gz (parameter names and shapes) and prints the largest
difference of the logits under equal weights. From the repository root:

    pip install --no-deps torchvision==0.28.0 timm pillow pyyaml huggingface_hub safetensors
    python -m models.compare_reference
"""

from __future__ import annotations

import gzip
import json
from importlib import import_module
from pathlib import Path
from typing import cast

import torch
from torch import nn

from models.zoo import ZOO, build, entry

NAMES_FILE = Path(__file__).parents[1] / "tests/data/models/names.json.gz"
PAPER = tuple(name for name in ZOO if not name.startswith("digits_"))

# A wheel built for another torch lacks these compiled operators, which importing it asks for.
DETECTION_OPS = ("nms", "qnms")


def reference(source: str) -> nn.Module:
    """The model that a zoo entry is named after, as "torchvision NAME" or "timm NAME"."""
    package, name = source.split()
    if package == "timm":
        return cast(nn.Module, import_module("timm").create_model(name, pretrained=False))
    return cast(nn.Module, import_module("torchvision.models").get_model(name, weights=None))


@torch.no_grad()
def perturb(module: nn.Module) -> None:
    """Moves every parameter a little, so that no gain is one and no bias zero."""
    for parameter in module.parameters():
        parameter.mul_(1 + 0.1 * torch.randn_like(parameter))
        parameter.add_(0.01 * torch.randn_like(parameter))


def main() -> None:
    """Compares every model of the paper."""
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for operator in DETECTION_OPS:
        schema = f"{operator}(Tensor boxes, Tensor scores, float threshold) -> Tensor"
        library.define(schema)  # type: ignore[no-untyped-call]
    names = {}
    for name in PAPER:
        ours = build(name, seed=1)
        torch.manual_seed(1)
        perturb(ours)
        theirs = reference(entry(name).names_from).eval()
        theirs.load_state_dict(ours.state_dict(), strict=True)
        names[name] = {key: list(value.shape) for key, value in theirs.state_dict().items()}
        image = torch.randn(2, *entry(name).image_shape, generator=torch.manual_seed(2))
        with torch.no_grad():
            expected, actual = theirs(image), ours(image)
        difference = (actual - expected).abs().max().item()
        module = type(theirs).__module__
        print(
            f"{name}: {difference:.1e} of {expected.abs().max().item():.1f}, {module}", flush=True
        )
    text = json.dumps(names, separators=(",", ":"))
    NAMES_FILE.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main()
