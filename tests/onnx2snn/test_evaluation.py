"""Totals of an evaluation on outputs made by hand, and the reading of data."""

import io
import types

import numpy as np
import pytest

from onnx2snn.data import read_arrays, split_labels, write_arrays
from onnx2snn.evaluation import Tally, evaluate
from onnx2snn.ops.errors import DataError, UsageError
from onnx2snn.runtime.classes import predicted
from onnx2snn.runtime.energy import Account
from onnx2snn.runtime.graph import TensorInfo
from onnx2snn.runtime.session import Point

IMAGE = TensorInfo("image", 1, ("N", 2))
ANN = np.asarray([[3, 1, 0], [0, 2, 1], [1, 0, 5], [4, 0, 0]], "f")
SNN = np.asarray([[3, 2, 0], [0, 1, 2], [1, 0, 4], [1, 0, 0]], "f")
LABELS = np.asarray([0, 1, 0, 0])


@pytest.mark.parametrize("cuts", [[4], [1, 4], [2, 3, 4]])
def test_totals_add_up_over_batches(cuts):
    tally = Tally()
    for start, end in zip([0, *cuts], cuts, strict=False):
        rows = slice(start, end)
        tally.add({"y": SNN[rows]}, {"y": ANN[rows]}, LABELS[rows])
    assert (tally.samples, tally.hits, tally.agreed) == (4, 2, 3)
    expected = np.linalg.norm(SNN - ANN) / np.linalg.norm(ANN)
    assert tally.relative_error == pytest.approx(float(expected))


def test_error_counts_all_outputs_and_classes_the_first():
    tally = Tally()
    other = np.ones((4, 7), "f")
    tally.add({"y": SNN, "z": other * 3}, {"y": ANN, "z": other}, None)
    squares = np.square(SNN - ANN).sum() + 4 * 28, np.square(ANN).sum() + 28
    assert tally.relative_error == pytest.approx(float(np.sqrt(squares[0] / squares[1])))
    assert tally.agreed == 3 and tally.hits == 0


def test_tokens_agree_where_a_whole_sample_does():
    tally = Tally()
    found = np.eye(3, dtype="f")[[[0, 1], [2, 2]]]
    reference = np.eye(3, dtype="f")[[[0, 1], [2, 0]]]
    tally.add({"y": found}, {"y": reference}, np.asarray([0, 1]))
    assert (tally.samples, tally.agreed, tally.hits, tally.classified) == (2, 1, 0, False)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ([[0, 2], [3, 1]], [1, 0]),
        ([[-1.0], [2.0]], [False, True]),
        ([-1.0, 2.0], [False, True]),
        (0.5, [True]),
        ([[[1, 0], [0, 1]]], [[0, 1]]),
    ],
)
def test_classes(output, expected):
    assert predicted(np.asarray(output)).tolist() == expected


class Session:
    """Stands in for both networks: outputs follow from the first input column."""

    def __init__(self, table, batch="N"):
        self.table, self.info, self.sizes = table, TensorInfo("image", 1, (batch, 2)), []

    def get_inputs(self):
        return [self.info]

    def get_outputs(self):
        return [types.SimpleNamespace(name="y")]

    def run(self, names, feed):
        return [self.table[feed["image"][:, 0].astype(int)]]

    def simulate(self, feed, at):
        [y] = self.run(["y"], feed)
        self.sizes.append(len(y))
        count = len(y)
        return [
            Point(t, {"y": y}, Account(count * t, 2 * count, 5.0 * count, 0, count)) for t in at
        ]


FEED = {"image": np.stack([np.arange(4), np.zeros(4)], 1).astype("f")}


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_evaluate(batch_size):
    report = evaluate(Session(SNN), Session(ANN), FEED, LABELS, [2, 1], batch_size=batch_size)
    assert report.samples == 4 and report.ann_top1 == 75.0
    assert [row.time_steps for row in report.rows] == [1, 2]
    for row in report.rows:
        assert (row.top1, row.agreement) == (50.0, 75.0)
        assert row.spike_rate == 0.5 and row.spikes_per_neuron == 0.5 * row.time_steps
        assert row.sops == 5.0
        assert row.energy_ratio == pytest.approx(0.9 * 5 / 4.6)
    assert evaluate(Session(SNN), Session(ANN), FEED, None, [1]).rows[0].top1 is None


def test_a_fixed_batch_size_is_kept():
    session = Session(SNN, batch=2)
    evaluate(session, Session(ANN), FEED, LABELS, [1], batch_size=64)
    assert session.sizes == [2, 2]


def test_data_are_checked_before_any_network_sees_them():
    for bad in (np.full((4, 2), np.nan, "f"), np.ones((4, 3), "f"), np.ones((4, 2), int)):
        with pytest.raises(DataError, match="'image'"):
            evaluate(Session(SNN), Session(ANN), {"image": bad}, None, [1])


def test_labels_and_inputs_are_split():
    arrays = {"image": FEED["image"], "labels": LABELS, "more": np.ones(3)}
    feed, labels = split_labels(arrays, [IMAGE])
    assert list(feed) == ["image"] and labels is LABELS
    feed, labels = split_labels(
        {**arrays, "labels": FEED["image"]}, [TensorInfo("labels", 1, None)]
    )
    assert list(feed) == ["labels"] and labels is None
    for bad in (LABELS[:3], LABELS.astype("f"), LABELS[:, None]):
        with pytest.raises(DataError, match="'labels'"):
            split_labels({**arrays, "labels": bad}, [IMAGE])


def test_arrays_survive_writing_and_reading(tmp_path):
    path, arrays = tmp_path / "a.npz", {"x": SNN, "labels": LABELS}
    write_arrays(path, arrays, force=False)
    found = read_arrays(path)
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())
    with pytest.raises(UsageError, match="--force"):
        write_arrays(path, arrays, force=False)
    write_arrays(path, {"x": ANN}, force=True)
    assert list(read_arrays(path)) == ["x"] and len(list(tmp_path.iterdir())) == 1


def test_python_objects_and_other_files_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.asarray([{}], object))
    with pytest.raises(DataError, match=r"allow_pickle|Object arrays"):
        read_arrays(path)
    single = io.BytesIO()
    np.save(single, SNN)
    for content in (single.getvalue(), b"", b"PK\x03\x04", b"plain"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.npz"):
            read_arrays(path)


def test_a_flipped_byte_is_a_data_error_or_harmless(tmp_path):
    path, stream = tmp_path / "a.npz", io.BytesIO()
    np.savez_compressed(stream, x=SNN, labels=LABELS)
    rng = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(stream.getvalue())
        data[rng.integers(len(data))] = rng.integers(256)
        path.write_bytes(data)
        try:
            assert all(isinstance(array, np.ndarray) for array in read_arrays(path).values())
        except DataError as error:
            assert "a.npz" in str(error)
