"""NIR export, read back and run by an interpreter of NIR graphs: the same spikes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from nets import Net, average_net, conv_net, resmlp
from torch.nn import functional as F

import onnx2snn
from onnx2snn.cli import run_cli
from onnx2snn.neuromorphic import nir_bytes

Array = np.ndarray[Any, Any]
TIME_STEPS = 30

try:
    import nir
except ImportError:
    nir = None
NEEDS_NIR = pytest.mark.skipif(nir is None, reason="the package nir is not installed")


def strided_net() -> Net:
    """Strides, groups, no bias, global pooling, a mean over both axes' sizes of 1."""
    net = Net(6, 4, 9, 9)
    net.add("Conv", net.weight(8, 2, 3, 3, gain=2.0), group=2, strides=[2, 2], pads=[1, 1, 1, 1])
    net.add("Relu")
    net.add("AveragePool", kernel_shape=[2, 2])
    net.add("Relu")
    net.add("Conv", net.weight(6, 8, 2, 2, gain=3.0), net.weight(6), dilations=[2, 2])
    net.add("Relu")
    net.add("GlobalAveragePool")
    net.add("Flatten")
    net.add("Gemm", net.weight(5, 6), net.weight(5), transB=1)
    return net


def tensor(a: Any) -> torch.Tensor:
    return torch.as_tensor(np.asarray(a)).double()


def sizes(*parameters: Any) -> list[tuple[int, ...]]:
    return [tuple(int(n) for n in a) for a in parameters]


LINEAR: dict[str, Callable[[Any, torch.Tensor], torch.Tensor]] = {
    "Output": lambda node, i: i,
    "Affine": lambda node, i: F.linear(i, tensor(node.weight), tensor(node.bias)),
    "Linear": lambda node, i: F.linear(i, tensor(node.weight)),
    "Scale": lambda node, i: i * tensor(node.scale),
    "Flatten": lambda node, i: i.flatten(1),
    "Conv2d": lambda node, i: F.conv2d(
        i,
        tensor(node.weight),
        tensor(node.bias),
        *sizes(node.stride, node.padding, node.dilation),
        int(node.groups),
    ),
    "AvgPool2d": lambda node, i: F.avg_pool2d(
        i, *sizes(node.kernel_size, node.stride, node.padding)
    ),
}


class Reader:
    """Runs a graph step by step: Euler steps of length 1, reset by subtraction."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.feeds = {name: [a for a, b in graph.edges if b == name] for name in graph.nodes}
        self.membranes: dict[str, Any] = {}
        self.counts: dict[str, Any] = {}
        self.leak = 1.0

    def neurons(self, name: str, node: Any, i: torch.Tensor) -> torch.Tensor:
        assert node.metadata["reset"] == "subtract"
        w = self.membranes.get(name, torch.zeros_like(i))
        if type(node).__name__ == "IF":
            w = w + tensor(node.r) * i
        else:
            self.leak = 1 - 1 / float(node.tau.reshape(-1)[0])
            w = w + (tensor(node.v_leak) - w + tensor(node.r) * i) / tensor(node.tau)
        s = (w >= tensor(node.v_threshold)).double()
        self.membranes[name] = w - s * tensor(node.v_threshold)
        self.counts[name] = self.counts.get(name, 0) + s.numpy()
        return s

    def step(self, x: Array) -> Array:
        values: dict[str, Any] = {}
        while len(values) < len(self.graph.nodes):
            for name, node in self.graph.nodes.items():
                kind = type(node).__name__
                if name in values or any(feed not in values for feed in self.feeds[name]):
                    continue
                arrived = sum(values[feed] for feed in self.feeds[name])
                if kind == "Input":
                    values[name] = torch.from_numpy(x).double()
                elif kind in LINEAR:
                    values[name] = LINEAR[kind](node, arrived)
                else:
                    values[name] = self.neurons(name, node, arrived)
        (end,) = (n for n, node in self.graph.nodes.items() if type(node).__name__ == "Output")
        return np.asarray(values[end].numpy())

    def run(self, x: Array, steps: int) -> Array:
        """Mean output current, with the weights that `neuromorphic/nir.py` states."""
        total, weight = np.zeros(()), 0.0
        for _ in range(steps):
            current = self.step(x)
            total, weight = self.leak * total + current, self.leak * weight + 1
        return np.asarray(total / weight)


CASES: list[tuple[Any, dict[str, Any]]] = [
    (average_net, {"dynamics": "if"}),
    (average_net, {"dynamics": "if", "threshold": "channel"}),
    (average_net, {"dynamics": "lif", "tau": 6.0}),
    (strided_net, {"dynamics": "if", "threshold": "channel", "percentile": 99.0}),
    (strided_net, {"dynamics": "lif", "tau": 20.0, "threshold": "channel"}),
]


@NEEDS_NIR
@pytest.mark.parametrize(("build", "given"), CASES)
def test_an_independent_reader_counts_the_same_spikes(
    build: Any, given: dict[str, Any], tmp_path: Path
) -> None:
    net = build()
    calibration, x = (net.rng.standard_normal((n, *net.shape)).astype(np.float32) for n in (40, 3))
    snn = onnx2snn.convert(net.model(), {"x": calibration}, time_steps=TIME_STEPS, **given)
    (tmp_path / "net.nir").write_bytes(nir_bytes(snn))
    reader = Reader(nir.read(tmp_path / "net.nir"))
    decoded, counts = reader.run(x, TIME_STEPS), reader.counts
    session = onnx2snn.SpikingSession(snn, device="cpu", precision="float64")
    np.testing.assert_allclose(session.run(None, {"x": x})[0], decoded, rtol=0, atol=1e-6)
    found: dict[str, int] = {}

    def probe(state: Any) -> None:
        found.update({name: int(count) for name, count in state.spikes.items()})

    session.simulate({"x": x}, [TIME_STEPS], probe=probe)
    assert list(found.values()) == [int(count.sum()) for count in counts.values()]
    assert all(count > 0 for count in found.values())


class Neuron(torch.nn.Module):
    def __init__(self, node: Any) -> None:
        super().__init__()
        self.r = torch.from_numpy(node.r)

    def forward(self, i: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, torch.Tensor]:
        w = (0 if state is None else state) + self.r * i
        s = (w >= 1).to(w)
        return s, w - s


class Scale(torch.nn.Module):
    def __init__(self, node: Any) -> None:
        super().__init__()
        self.scale = torch.from_numpy(node.scale)

    def forward(self, i: torch.Tensor) -> torch.Tensor:
        return i * self.scale


class Affine(torch.nn.Module):
    """In place of nirtorch 2.6's own, which drops the bias."""

    def __init__(self, node: Any) -> None:
        super().__init__()
        self.weight, self.bias = torch.from_numpy(node.weight), torch.from_numpy(node.bias)

    def forward(self, i: torch.Tensor) -> torch.Tensor:
        return F.linear(i, self.weight.double(), self.bias.double())


@NEEDS_NIR
def test_nirtorch_opens_the_graph(tmp_path: Path) -> None:
    nirtorch = pytest.importorskip("nirtorch")
    net = average_net()
    x = net.rng.standard_normal((3, *net.shape)).astype(np.float32)
    snn = onnx2snn.convert(net.model(), {"x": x}, time_steps=8, dynamics="if")
    (tmp_path / "net.nir").write_bytes(nir_bytes(snn))

    modules = {nir.IF: Neuron, nir.Scale: Scale, nir.Affine: Affine}
    module = nirtorch.nir_to_torch(nir.read(tmp_path / "net.nir"), modules, dtype=torch.float64)
    state, total = None, torch.zeros(())
    with torch.no_grad():
        for _ in range(8):
            y, state = module(torch.from_numpy(x[0]).double(), state)
            total = total + y
    session = onnx2snn.SpikingSession(snn, device="cpu", precision="float64")
    np.testing.assert_allclose(session.run(None, {"x": x})[0][0], total / 8, rtol=0, atol=1e-6)


@NEEDS_NIR
def test_what_nir_cannot_express_is_refused_by_name(tmp_path: Path) -> None:
    def refused(net: Net, match: str, **given: Any) -> None:
        x = {"x": net.rng.standard_normal((3, *net.shape)).astype(np.float32)}
        snn = onnx2snn.convert(net.model(), x, time_steps=4, **given)
        with pytest.raises(onnx2snn.ModelError, match=match):
            nir_bytes(snn)

    refused(average_net(), "'x/encoded'.*--dynamics if", preset="paper")
    refused(conv_net("Relu"), "'n2'.*--dynamics", schedule="exponential")
    refused(average_net(), "'n1'.*--membrane 0", dynamics="if", membrane=0.5)
    refused(average_net(), "encoded.*--input direct", dynamics="if", input="poisson")
    refused(resmlp("Relu"), r"'\w+' \(\w+\) cannot be expressed in NIR", dynamics="if")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = average_net()
    x = {"x": net.rng.standard_normal((3, *net.shape)).astype(np.float32)}
    snn = onnx2snn.convert(net.model(), x, time_steps=4, dynamics="if")
    onnx.save(snn, tmp_path / "s.onnx")
    out = str(tmp_path / "s.nir")
    status = run_cli(["export", str(tmp_path / "s.onnx"), "--to", "nir", "-o", out])
    if nir is None:
        assert status == 2 and "pip install" in capsys.readouterr().err
    else:
        assert status == 0 and len(nir.read(out).nodes) == 12
