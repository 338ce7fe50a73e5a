"""Makers of the damaged models and folders that the table of bad input names."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from command_models import CHAIN, NODE, arrays, model, spiking, value, weights
from onnx import ModelProto, TensorProto, helper, numpy_helper

Damage = Callable[[ModelProto], object]


def damaged(damage: Damage, time_steps: int = 4) -> ModelProto:
    """The spiking file after `damage`."""
    proto = spiking(time_steps)
    damage(proto)
    return proto


def spiking_node(proto: ModelProto) -> onnx.NodeProto:
    return next(node for node in proto.graph.node if node.domain == "onnx2snn")


def stored(proto: ModelProto, name: str) -> TensorProto:
    return next(tensor for tensor in proto.graph.initializer if tensor.name == name)


def with_attribute(name: str, content: object) -> ModelProto:
    """The spiking file with one attribute of its neurons set to `content`."""

    def damage(proto: ModelProto) -> None:
        node = spiking_node(proto)
        kept = [a for a in node.attribute if a.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, content)])

    return damaged(damage)


def with_parameter(key: str, change: Callable[[np.ndarray], np.ndarray]) -> ModelProto:
    """The spiking file with one stored parameter of its site changed."""

    def damage(proto: ModelProto) -> None:
        tensor = stored(proto, f"act/output/{key}")
        changed = np.asarray(change(numpy_helper.to_array(tensor).copy()))
        tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))

    return damaged(damage)


def filled(number: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda array: np.full_like(array, number)


def without_parameter(proto: ModelProto) -> None:
    """The step sizes are named but not stored."""
    kept = [t for t in proto.graph.initializer if not t.name.endswith("step_sizes")]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(kept)


def newer_domain(proto: ModelProto) -> None:
    for entry in proto.opset_import:
        if entry.domain == "onnx2snn":
            entry.version = 2


def bad_metadata(proto: ModelProto) -> None:
    for entry in proto.metadata_props:
        if entry.key == "onnx2snn.refusals":
            entry.value = "{"


def external(location: str) -> ModelProto:
    """The chain with its first weight in a file of its own."""
    proto = model()
    tensor = stored(proto, "w1")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return proto


def link_outside(folder: Path) -> None:
    """`link.bin` beside the model leads to a weight outside its folder."""
    target = folder.parent / f"{folder.name}.bin"
    target.write_bytes(weights()["w1"].tobytes())
    (folder / "link.bin").symlink_to(target)


def cyclic() -> ModelProto:
    first = NODE("Add", ["h", "back"], ["ahead"], "first")
    second = NODE("Relu", ["ahead"], ["back"], "second")
    last = NODE("MatMul", ["back", "w2"], ["logits"], "fc2")
    return model((CHAIN[0], first, second, last))


def linear() -> ModelProto:
    """No nonlinearity anywhere."""
    return model((CHAIN[0], NODE("MatMul", ["h", "w2"], ["logits"], "fc2")))


def with_operator(op_type: str, domain: str = "") -> ModelProto:
    node = NODE(op_type, ["h"], ["r"], "odd", domain=domain)
    return model((CHAIN[0], node, CHAIN[2]), domains=[domain] if domain else [])


def image(**changes: object) -> dict[str, np.ndarray]:
    """The good data with other arrays; None drops one."""
    changed = {**arrays(), **changes}
    return {name: np.asarray(array) for name, array in changed.items() if array is not None}


def nan_weight() -> object:
    return model(extra={"w1": np.full((4, 8), np.nan, "f")})


def renamed_output() -> object:
    """The chain under another output's name."""
    other = NODE("MatMul", ["r", "w2"], ["scores"], "fc2")
    return model((*CHAIN[:2], other), outputs=[value("scores", "N", 3)])


def npy(array: np.ndarray) -> bytes:
    """A .npy file, which is no archive."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def zipped(content: bytes) -> bytes:
    """An archive whose member is no array."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("image", content)
    return stream.getvalue()


def holding(number: float) -> np.ndarray:
    """Samples in double precision, one value being `number`."""
    x = arrays()["image"].astype("d")
    x[3, 2] = number
    return x
