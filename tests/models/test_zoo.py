"""The paper's models: parameter names, counts, shapes, checkpoints, seeds and export."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Literal

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from models.zoo import ZOO, build, entry, export

NAMES_FILE = Path(__file__).parents[1] / "data" / "models" / "names.json.gz"
NAMES: dict[str, dict[str, list[int]]] = json.loads(gzip.decompress(NAMES_FILE.read_bytes()))
PARAMETERS = {
    "convnext_base": 88_591_464,
    "mlp_mixer_b32": 60_293_428,
    "resmlp_s24": 30_020_680,
    "regnetx_3_2gf": 15_296_552,
    "vgg16": 138_357_544,
    "resnet34": 21_797_672,
}


def on_meta(name: str) -> nn.Module:
    """The model without memory for its weights."""
    with torch.device("meta"):
        return entry(name).builder().eval()


@pytest.mark.parametrize("name", PARAMETERS)
def test_names_and_shapes_are_those_of_torchvision_and_timm(name: str) -> None:
    state = on_meta(name).state_dict()
    assert {key: list(value.shape) for key, value in state.items()} == NAMES[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_number_of_parameters(name: str) -> None:
    assert sum(p.numel() for p in on_meta(name).parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", ZOO)
def test_one_row_of_logits_per_image(name: str) -> None:
    image = torch.empty(3, *entry(name).image_shape, device="meta")
    assert on_meta(name)(image).shape == (3, entry(name).classes)


@pytest.mark.parametrize("name", ZOO)
def test_digits_models_are_small_and_the_rest_is_the_papers(name: str) -> None:
    size = sum(p.numel() for p in on_meta(name).parameters())
    assert 20_000 < size < 200_000 if name.startswith("digits_") else name in PARAMETERS


def test_an_unknown_name_lists_the_choices() -> None:
    with pytest.raises(ValueError, match=r"unknown model 'vgg19'.*vgg16, resnet34"):
        build("vgg19")


def test_the_seed_decides_the_weights_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, same, other = (build("digits_vgg", seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.rand(1), expected)
    pairs = zip(first.parameters(), same.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    pairs = zip(first.parameters(), other.parameters(), strict=True)
    assert not all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", ["resmlp_s24", "regnetx_3_2gf", "resnet34", "digits_convnext"])
def test_random_activations_neither_vanish_nor_explode(name: str) -> None:
    spreads: list[float] = []
    module = build(name)
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            part.register_forward_hook(lambda _, __, out: spreads.append(out.std().item()))
    with torch.no_grad():
        module(torch.randn(1, *entry(name).image_shape))
    assert min(spreads) > 0.05 and max(spreads) < 50


@pytest.mark.parametrize("key", [None, "model", "state_dict"])
def test_a_checkpoint_with_the_fields_names_loads(key: str | None, tmp_path: Path) -> None:
    state = {
        name: torch.zeros(()).long() if name.endswith("tracked") else torch.rand(shape)
        for name, shape in NAMES["regnetx_3_2gf"].items()
    }
    path = tmp_path / "checkpoint.pth"
    torch.save(state if key is None else {key: state, "epoch": 3}, path)
    loaded = build("regnetx_3_2gf", checkpoint=path)
    assert not loaded.training
    assert all(torch.equal(value, state[k]) for k, value in loaded.state_dict().items())


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ({"fc.weight": torch.zeros(10, 64)}, RuntimeError, "Missing key"),
        ({"epoch": 3}, ValueError, "not a state dict"),
        ([1, 2], ValueError, "not a state dict"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(
    content: dict[str, Tensor], error: type[Exception], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.pth"
    torch.save(content, path)
    with pytest.raises(error, match=message):
        build("digits_resnet", checkpoint=path)


def test_safetensors_are_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"torch\.save"):
        build("digits_resnet", checkpoint=tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("exporter", "opset"),
    [("torchscript", 13), ("torchscript", 17), ("torchscript", 20), ("dynamo", 18), ("dynamo", 20)],
)
@pytest.mark.parametrize("name", ["digits_convnext", "digits_resnet"])
@pytest.mark.filterwarnings("ignore")
def test_export_has_the_asked_opset_names_and_a_free_batch(
    name: str, exporter: Literal["torchscript", "dynamo"], opset: int, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    module = build(name)
    export(module, path, entry(name).image_shape, opset=opset, exporter=exporter)
    opsets = {item.domain: item.version for item in onnx.load(path).opset_import}
    assert opsets[""] == opset
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["image"]
    assert session.get_inputs()[0].shape == ["batch", *entry(name).image_shape]
    for batch in (1, 5):
        image = torch.rand(batch, *entry(name).image_shape)
        (logits,) = session.run(["logits"], {"image": image.numpy()})
        torch.testing.assert_close(
            torch.from_numpy(logits), module(image).detach(), atol=1e-4, rtol=1e-4
        )


def test_the_dynamo_exporter_is_not_asked_for_an_opset_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="opset 17: the dynamo exporter starts at 18"):
        export(build("digits_vgg"), tmp_path / "x.onnx", (1, 16, 16), opset=17, exporter="dynamo")
    assert not list(tmp_path.iterdir())


def test_an_unknown_exporter_is_refused(tmp_path: Path) -> None:
    module = build("digits_vgg")
    with pytest.raises(ValueError, match="torchscript or dynamo"):
        export(module, tmp_path / "x.onnx", (1, 16, 16), exporter="jax")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
