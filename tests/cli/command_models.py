"""Tiny models and data for the command line's tests, and the command itself in a subprocess."""

import functools
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

import onnx2snn

NODE = helper.make_node
MODELS = Path(__file__).resolve().parents[2] / "models"
COMMAND = [sys.executable, "-c", "from onnx2snn.cli import main; main()"]


def value(name: str, *shape: int | str, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "w1": rng.normal(size=(4, 8)).astype("f"),
        "b1": rng.normal(size=8).astype("f"),
        "w2": rng.normal(size=(8, 3)).astype("f"),
    }


CHAIN = (
    NODE("Gemm", ["image", "w1", "b1"], ["h"], "fc1"),
    NODE("Relu", ["h"], ["r"], "act"),
    NODE("MatMul", ["r", "w2"], ["logits"], "fc2"),
)


def model(nodes=CHAIN, opset=17, extra=(), domains=(), inputs=None, outputs=None) -> ModelProto:
    """fc1 -> act -> fc2 on `image` [N, 4], or other nodes between the same tensors."""
    stored = {**weights(), **dict(extra)}
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        list(nodes),
        "tiny",
        inputs or [value("image", "N", 4)],
        outputs or [value("logits", "N", 3)],
        [numpy_helper.from_array(a, name) for name, a in stored.items() if name in used],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def partly_analog() -> ModelProto:
    """The chain with determinants at its end, of matrices of one number: without spiking form."""
    head = (
        NODE("MatMul", ["r", "w2"], ["s"], "fc2"),
        NODE("Reshape", ["s", "ones"], ["m"], "matrices"),
        NODE("Det", ["m"], ["logits"], "top"),
    )
    return model((*CHAIN[:2], *head), extra={"ones": np.array([0, 3, 1, 1])}.items())


def arrays(samples: int = 8, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "image": rng.normal(size=(samples, 4)).astype("f"),
        "labels": rng.integers(0, 3, samples),
    }


@functools.cache
def _spiking(time_steps: int) -> bytes:
    data = {"image": arrays(32, 1)["image"]}
    return onnx2snn.convert(model(), data, time_steps=time_steps, tuning=0).SerializeToString()


def spiking(time_steps: int = 4) -> ModelProto:
    """The chain converted; a fresh copy to be damaged."""
    return ModelProto.FromString(_spiking(time_steps))


def write_model(path: Path, content: ModelProto | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    return path


def write_data(path: Path, **content: np.ndarray) -> Path:
    np.savez(path, **content)
    return path


def onnx2snn_process(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """The command as a user starts it."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )
