"""Files with flipped, dropped or doubled bytes: one of our errors or a result, nothing else."""

import numpy as np
import pytest
from command_models import model, spiking

import onnx2snn
from onnx2snn.inspection import inspect_model

CASES = 150
DATA = {"image": np.random.default_rng(2).normal(size=(4, 4)).astype("f")}


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """`data` cut short, or with a few bytes changed, removed or repeated."""
    if rng.random() < 0.15:
        return data[: rng.integers(1, len(data))]
    result = bytearray(data)
    for place in rng.integers(0, len(data), rng.integers(1, 4)):
        action = rng.integers(0, 6)
        if action < 4:
            result[place % len(result)] = rng.integers(0, 256)
        elif action == 4:
            del result[place : place + rng.integers(1, 9)]
        else:
            result[place:place] = result[place : place + rng.integers(1, 9)]
    return bytes(result)


def convert_and_run(path):
    converted = onnx2snn.convert(path, DATA, time_steps=2, tuning=0)
    onnx2snn.SpikingSession(converted, device="cpu").run(None, DATA)


def open_and_run(path):
    session = onnx2snn.SpikingSession(path, device="cpu")
    session.run(None, DATA)
    inspect_model(path)


def open_and_export(path):
    for form in ("onnx-loop", "onnx-step"):
        onnx2snn.export(path, form, precision="float64")


@pytest.mark.parametrize(
    ("content", "use"),
    [(model, convert_and_run), (spiking, open_and_run), (spiking, open_and_export)],
    ids=["plain", "spiking", "exported"],
)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.filterwarnings("ignore")
def test_only_our_errors(tmp_path, content, use, seed):
    rng = np.random.default_rng(seed)
    data, path = content().SerializeToString(), tmp_path / "model.onnx"
    outcomes = {True: 0, False: 0}
    for _ in range(CASES):
        broken = mutated(data, rng)
        path.write_bytes(broken)
        try:
            use(path)
            outcomes[True] += 1
        except onnx2snn.Onnx2SnnError as error:
            assert str(error)
            outcomes[False] += 1
        except Exception as error:
            raise AssertionError(f"{type(error).__name__} on {broken!r}") from error
    assert all(outcomes.values())
