"""The committed text encoder, its data, and what it becomes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

import onnx2snn
from models.text_encoder import MAX_TOKENS
from models.train_text import (
    CALIBRATION_SNIPPETS,
    FOLDER,
    LONGEST,
    SHORTEST,
    TEST_SNIPPETS,
    TOPICS,
    Document,
    comments,
    cut,
    docstrings,
    documents,
    main,
)
from onnx2snn.inspection import inspect_model

MODEL = FOLDER / "text_encoder.onnx"
SOURCE = '''"""Module."""
# first
# second
def f():  # beside
    """Function."""

    # last
'''
Feed = dict[str, NDArray[np.int64]]


def read(name: str, samples: int | None = None) -> tuple[Feed, NDArray[np.int64]]:
    """The model's inputs and the labels of a stored file."""
    with np.load(FOLDER / f"text_{name}.npz") as arrays:
        data = {key: arrays[key][:samples] for key in arrays.files}
    return data, data.pop("labels")


def answer(feed: Feed, path: Path = MODEL) -> list[NDArray[np.float32]]:
    """Logits and embedding from onnxruntime."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [np.asarray(result) for result in session.run(["logits", "embedding"], feed)]


def test_accuracy_on_the_test_snippets() -> None:
    feed, labels = read("test")
    logits, embedding = answer(feed)
    assert (logits.argmax(1) == labels).mean() >= 0.75
    assert embedding.shape == (TEST_SNIPPETS, 64)


def test_the_file_is_valid_small_and_open_in_both_axes() -> None:
    model = onnx.load(MODEL)
    onnx.checker.check_model(model, full_check=True)
    assert MODEL.stat().st_size < 2_000_000
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 17)]
    operators = {node.op_type for node in model.graph.node}
    assert {"MatMul", "Softmax", "Erf", "LayerNormalization", "Gather"} <= operators
    for value in model.graph.input:
        dims = [d.dim_param for d in value.type.tensor_type.shape.dim]
        assert dims == ["batch", "sequence"]


@pytest.mark.parametrize(
    ("name", "samples"), [("test", TEST_SNIPPETS), ("calibration", CALIBRATION_SNIPPETS)]
)
def test_the_data_are_padded_tokens_of_every_topic(name: str, samples: int) -> None:
    feed, labels = read(name)
    ids, mask = feed["input_ids"], feed["attention_mask"]
    assert ids.dtype == mask.dtype == labels.dtype == np.int64
    assert ids.shape == mask.shape == (samples, LONGEST) and labels.shape == (samples,)
    assert set(labels) == set(range(len(TOPICS)))
    np.testing.assert_array_equal(mask, ids != 0)
    assert mask.sum(1).min() >= SHORTEST and (np.diff(mask, axis=1) <= 0).all()


def test_padding_changes_nothing() -> None:
    feed, _ = read("test", 20)
    longer = {key: np.pad(a, ((0, 0), (0, MAX_TOKENS - LONGEST))) for key, a in feed.items()}
    for short, long in zip(answer(feed), answer(longer), strict=True):
        np.testing.assert_allclose(short, long, atol=1e-4)


def test_it_becomes_spiking() -> None:
    report = inspect_model(MODEL)
    table = report.by_op_type()
    for op_type, count in (("LayerNormalization", 13), ("Gelu", 6), ("Softmax", 6)):
        assert table[op_type]["spiking"] == sum(table[op_type].values()) == count
    assert table["MatMul"]["product"] == report.counts["product"] == 12
    # The number of tokens, at least 1, is computed once from the mask, without neurons.
    assert table["Clip"]["spiking"] == 0
    assert {node.op_type for node in report.analog} <= {"Clip"}


def test_no_parameter_has_the_length_of_the_sequence() -> None:
    feed, _ = read("calibration", 16)
    feed = {key: a[:, :29] for key, a in feed.items()}
    spiking = onnx2snn.convert(MODEL, feed, time_steps=4, spikes="ternary", tuning=0)
    for tensor in spiking.graph.initializer:
        if "/Softmax/" in tensor.name and tensor.name.endswith("step_sizes"):
            assert list(tensor.dims) == [4, 4, 1, 1]
        assert 29 not in tensor.dims
    test, _ = read("test", 4)
    session = onnx2snn.SpikingSession(spiking, device="cpu")
    (logits,) = session.run(["logits"], test)
    assert logits.shape == (4, len(TOPICS)) and np.isfinite(logits).all()


def test_texts_are_docstrings_and_blocks_of_comments() -> None:
    assert list(docstrings(SOURCE)) == ["Module.", "Function."]
    assert list(comments(SOURCE)) == ["# first # second # beside", "# last"]


def test_texts_are_cut_into_snippets() -> None:
    words = tuple(map(str, range(80)))
    whole = [len(piece.words) for piece in cut([Document(words, 3)], [0])]
    assert whole == [LONGEST, LONGEST, 80 - 2 * LONGEST]
    shifted = cut([Document(words, 3)], [10])
    assert [piece.words[0] for piece in shifted] == ["0", "22", "54"]
    assert {piece.topic for piece in shifted} == {3}
    assert [len(piece.words) for piece in cut([Document(words[:40], 0)], [0])] == [LONGEST]


@pytest.fixture(scope="module")
def texts() -> list[Document]:
    return documents()


def test_texts_are_distinct_and_of_every_topic(texts: list[Document]) -> None:
    assert len({text.words for text in texts}) == len(texts) > 2000
    assert {text.topic for text in texts} == set(range(len(TOPICS)))
    assert min(len(text.words) for text in texts) >= SHORTEST


@pytest.mark.filterwarnings("ignore")
def test_training_writes_everything_and_repeats_itself(
    tmp_path: Path, texts: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.train_text.documents", lambda: texts)
    threads = torch.get_num_threads()
    try:
        for run in ("first", "second"):
            main(["--steps", "2", "--output", str(tmp_path / run)])
    finally:
        torch.set_num_threads(threads)
    names = ["text_calibration.npz", "text_encoder.onnx", "text_test.npz"]
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == names
    feed, _ = read("test", 10)
    results = [answer(feed, tmp_path / run / "text_encoder.onnx") for run in ("first", "second")]
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)
