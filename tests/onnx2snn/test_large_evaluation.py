"""Evaluations that stream, resume, are shared among processes, and exit early."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import onnx2snn
from onnx2snn.evaluation import evaluate
from onnx2snn.ops.errors import DataError, UsageError
from onnx2snn.runtime.energy import Account
from onnx2snn.runtime.session import Point
from onnx2snn.runtime.settle import settle
from onnx2snn.samples import ahead, open_samples
from onnx2snn.shares import Ledger, Workers

MODEL = Path(__file__).parents[2] / "models" / "digits_vgg.onnx"
COUNT, SIZE, AT = 50, 16, [2, 4]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A spiking file, its ANN and data, in a folder."""
    folder = tmp_path_factory.mktemp("large")
    with np.load(MODEL.with_name("digits_test.npz")) as test:
        image, labels = test["image"][:COUNT], test["labels"][:COUNT]
    settings = {"time_steps": 8, "schedule": "exponential"}
    onnx2snn.save(onnx2snn.convert(MODEL, {"image": image[:16]}, **settings), folder / "s.onnx")
    np.savez(folder / "d.npz", image=image, labels=labels)
    (folder / "shards").mkdir()
    for i, rows in enumerate((slice(0, 7), slice(7, 30), slice(30, COUNT))):
        np.savez(folder / "shards" / f"part{i}.npz", image=image[rows], labels=labels[rows])
    (folder / "mapped").mkdir()
    np.save(folder / "mapped" / "image.npy", image)
    np.save(folder / "mapped" / "labels.npy", labels)
    return folder


@pytest.fixture(scope="module")
def opened(digits):
    ann = onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])
    return onnx2snn.SpikingSession(digits / "s.onnx", device="cpu"), ann


def report(digits, opened, data="d.npz", **options):
    session, ann = opened
    samples = open_samples(digits / data, session.get_inputs())
    options = {"batch_size": SIZE, "early_exit": 2, **options}
    return evaluate(session, ann, samples, None, AT, **options).to_json()


@pytest.mark.parametrize("data", ["shards", "mapped"])
def test_data_in_a_folder_give_the_same_totals(digits, opened, data):
    found = report(digits, opened, data)
    assert found == report(digits, opened)
    assert found["samples"] == COUNT and found["ann"]["top1"] > 90


def test_shards_are_read_one_at_a_time_and_batches_cross_them(digits, opened):
    samples = open_samples(digits / "shards", opened[0].get_inputs())
    whole = np.load(digits / "d.npz")
    parts = [(0, 5), (5, 31), (31, 50)]
    for (start, stop), (feed, labels) in zip(parts, ahead(samples, parts), strict=True):
        np.testing.assert_array_equal(feed["image"], whole["image"][start:stop])
        np.testing.assert_array_equal(labels, whole["labels"][start:stop])
    assert samples.held[0] == 2
    assert open_samples(digits / "shards", opened[0].get_inputs(), 9).count == 9


def test_a_damaged_shard_is_named(digits, opened, tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"bad\.npz"):
        open_samples(tmp_path, opened[0].get_inputs())
    (tmp_path / "bad.npz").unlink()
    with pytest.raises(DataError, match="neither"):
        open_samples(tmp_path, opened[0].get_inputs())


def test_an_interrupted_evaluation_resumes(digits, opened, tmp_path):
    whole = report(digits, opened)
    path, identity = tmp_path / "done", {"model": "m"}

    def stop(done, total):
        if done > SIZE:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        report(digits, opened, ledger=Ledger(path, identity), progress=stop)
    with path.open("a") as stream:
        stream.write('{"batch": 2, "cut')
    again, done = Ledger(path, identity), []
    assert sorted(again.known) == [0, 1]
    found = report(digits, opened, ledger=again, progress=lambda at, total: done.append(at))
    assert found == whole and done == [48, 50]
    assert sorted(Ledger(path, identity).known) == [0, 1, 2, 3]
    with pytest.raises(DataError, match="another evaluation"):
        Ledger(path, {"model": "other"})


def test_shares_add_up_to_the_whole_bit_for_bit(digits, opened, tmp_path):
    whole, path = report(digits, opened), tmp_path / "done"

    class Alone(Workers):
        def gather(self, mine):
            return {i: next(iter(mine.values())) for i in range(4)}

    for rank in range(3):
        report(digits, opened, ledger=Ledger(path, {}, Alone(rank, 3)), workers=Alone(rank, 3))
    assert report(digits, opened, ledger=Ledger(path, {})) == whole


def test_two_processes_report_what_one_does(digits, tmp_path):
    script = tmp_path / "cli.py"
    script.write_text("from onnx2snn.cli import main\nmain()\n")
    arguments = [str(script), "evaluate", str(digits / "s.onnx"), "--ann", str(MODEL)]
    arguments += ["--data", str(digits / "shards"), "--at", "2,4", "--batch-size", str(SIZE)]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, command in (("one", []), ("two", launch)):
        call = [sys.executable, *command, *arguments, "--json", str(tmp_path / name)]
        subprocess.run(call, check=True, capture_output=True, env=_single_threaded())
    one, two = (json.loads((tmp_path / name).read_text()) for name in ("one", "two"))
    assert one == two and one["samples"] == COUNT


def _single_threaded():
    import os

    return {**os.environ, "OMP_NUM_THREADS": "1"}


def point(time_steps, *rows):
    return Point(time_steps, {"y": np.asarray(rows, "f")}, Account(0, 0, 0.0, 0, 0))


def test_each_sample_exits_when_its_class_holds():
    points = [
        point(2, [1, 0], [0, 1], [3, 0]),
        point(4, [2, 0], [2, 1], [4, 0]),
        point(6, [9, 0], [5, 1], [9, 0]),
        point(8, [0, 9], [0, 9], [0, 9]),
    ]
    read = iter(points)
    settled = settle(read)
    assert settled.steps.tolist() == [4, 6, 4]
    assert settled.outputs["y"].tolist() == [[2, 0], [5, 1], [4, 0]]
    assert next(read).time_steps == 8, "no more is simulated than needed"
    with pytest.raises(UsageError, match="one row per sample"):
        settle([Point(1, {"y": np.zeros((2, 3)), "z": np.zeros(())}, points[0].account)])


def test_early_exit_needs_fewer_steps(digits, opened):
    found = report(digits, opened)["early_exit"]
    assert 4 <= found["mean_time_steps"] < 8
    assert 0 <= found["top1"] <= 100
