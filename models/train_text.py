"""Trains the text encoder on Python's own documentation: python -m models.train_text.

Docstrings and comments of the standard library, cut into snippets of at most 32 words; the task
is to tell which topic's modules a snippet comes from.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sysconfig
import time
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.text_encoder import TextEncoder, export_text

FOLDER = Path(__file__).parent
TOPICS = {
    "windows": ("tkinter", "turtle.py"),
    "mail": ("email", "mailbox.py", "smtplib.py", "imaplib.py", "poplib.py"),
    "asyncio": ("asyncio",),
    "numbers": ("_pydecimal.py", "fractions.py", "statistics.py", "random.py", "numbers.py"),
    "logging": ("logging",),
    "markup": ("xml", "html"),
    "imports": ("importlib", "pkgutil.py", "runpy.py", "modulefinder.py", "zipimport.py"),
    "tests": ("unittest", "doctest.py"),
    "types": ("typing.py", "dataclasses.py", "enum.py", "_collections_abc.py", "functools.py"),
    "files": ("tarfile.py", "zipfile.py", "shutil.py", "gzip.py", "pathlib.py", "tempfile.py"),
}
WORD = re.compile(r"[a-z]+")
LONGEST, SHORTEST = 32, 12
VOCABULARY = 2000
PADDING, UNKNOWN, HIDDEN = range(3)
TEST_SNIPPETS, CALIBRATION_SNIPPETS = 500, 256

STEPS = 4500
BATCH = 64
# So high that channels grow as uneven as those of large pretrained encoders.
LEARNING_RATE = 5e-3
HIDDEN_WORDS = 0.15


class Document(NamedTuple):
    """The words of one docstring or block of comments, and the number of its topic."""

    words: tuple[str, ...]
    topic: int


class Snippets(NamedTuple):
    """Token ids and mask [N, 32], and topics [N]."""

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor


def docstrings(source: str) -> Iterator[str]:
    """The docstrings of a module, its classes and functions."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and (text := ast.get_docstring(node)):
            yield text


def comments(source: str) -> Iterator[str]:
    """The comments of a module, those on consecutive lines as one."""
    lines: dict[int, str] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            lines[token.start[0]] = token.string
    block: list[str] = []
    for number, line in lines.items():
        block.append(line)
        if number + 1 not in lines:
            yield " ".join(block)
            block = []


def documents() -> list[Document]:
    """All texts of all topics in a fixed random order, none twice, none too short."""
    library = Path(sysconfig.get_path("stdlib"))
    found: dict[tuple[str, ...], int] = {}
    for topic, places in enumerate(TOPICS.values()):
        for place in places:
            path = library / place
            for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
                if not file.is_file() or {"test", "tests"} & set(file.parts):
                    continue
                source = file.read_text(encoding="utf-8")
                for text in (*docstrings(source), *comments(source)):
                    found.setdefault(tuple(WORD.findall(text.lower())), topic)
    texts = [Document(words, topic) for words, topic in found.items() if len(words) >= SHORTEST]
    order = np.random.default_rng(0).permutation(len(texts))
    return [texts[i] for i in order]


def cut(texts: Sequence[Document], offsets: Sequence[int]) -> list[Document]:
    """Snippets of at most 32 words; the first one of each text is shortened by its offset."""
    pieces = []
    for (words, topic), offset in zip(texts, offsets, strict=True):
        starts = [0, *range(LONGEST - offset, len(words), LONGEST)]
        for start, end in zip(starts, [*starts[1:], len(words)], strict=True):
            if end - start >= SHORTEST:
                pieces.append(Document(words[start:end], topic))
    return pieces


def vocabulary(texts: Sequence[Document]) -> dict[str, int]:
    """Numbers of the most frequent words, behind those of padding, other and hidden words."""
    counts = Counter(word for text in texts for word in text.words)
    frequent = counts.most_common(VOCABULARY - 3)
    return {word: number for number, (word, _) in enumerate(frequent, start=3)}


def encode(pieces: Sequence[Document], numbers: dict[str, int]) -> Snippets:
    """The snippets as padded tensors."""
    ids = torch.full((len(pieces), LONGEST), PADDING)
    for row, piece in zip(ids, pieces, strict=True):
        row[: len(piece.words)] = torch.tensor([numbers.get(w, UNKNOWN) for w in piece.words])
    topics = torch.tensor([piece.topic for piece in pieces])
    return Snippets(ids, (ids != PADDING).long(), topics)


def batches(texts: Sequence[Document], numbers: dict[str, int]) -> Iterator[Snippets]:
    """Endless batches of training snippets, the texts cut and ordered anew in every round."""
    generator = np.random.default_rng(0)
    while True:
        offsets = generator.integers(0, LONGEST, len(texts)).tolist()
        data = encode(cut(texts, offsets), numbers)
        order = torch.randperm(len(data.labels))
        for index in torch.split(order[: len(order) // BATCH * BATCH], BATCH):
            yield Snippets(*(part[index] for part in data))


def loss(module: TextEncoder, data: Snippets) -> Tensor:
    """Cross entropy of the topic, and of the words that were hidden, read off the embeddings."""
    ids, present = data.input_ids, data.attention_mask.float()
    hidden = (torch.rand(ids.shape) < HIDDEN_WORDS) & (ids > UNKNOWN)
    x = module.encode(ids.masked_fill(hidden, HIDDEN), present)
    logits, _ = module.classify(x, present)
    words = x[hidden] @ module.tokens.weight.T
    return F.cross_entropy(logits, data.labels) + F.cross_entropy(words, ids[hidden])


def train(texts: Sequence[Document], numbers: dict[str, int], steps: int) -> TextEncoder:
    """Trains with Adam and a one-cycle cosine schedule."""
    torch.manual_seed(0)
    module = TextEncoder(vocabulary=VOCABULARY, classes=len(TOPICS)).train()
    optimizer = torch.optim.Adam(module.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1
    )
    for data in islice(batches(texts, numbers), steps):
        optimizer.zero_grad()
        loss(module, data).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return module.eval()


@torch.no_grad()
def accuracy(module: TextEncoder, data: Snippets) -> float:
    """Top-1 accuracy in percent."""
    correct = module(data.input_ids, data.attention_mask)[0].argmax(1) == data.labels
    return 100 * int(correct.sum()) / len(correct)


def save(path: Path, data: Snippets) -> None:
    """Stores ids, mask and labels as a compressed .npz."""
    np.savez_compressed(path, **{key: part.numpy() for key, part in data._asdict().items()})


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains, writes and reports the model; the texts of the test snippets are held out."""
    parser = argparse.ArgumentParser(prog="python -m models.train_text", description=__doc__)
    parser.add_argument("--output", type=Path, default=FOLDER)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    options.output.mkdir(parents=True, exist_ok=True)
    start, texts = time.perf_counter(), documents()
    held_out, kept = texts[:TEST_SNIPPETS], texts[TEST_SNIPPETS:]
    numbers = vocabulary(kept)
    test = encode(cut(held_out, [0] * len(held_out))[:TEST_SNIPPETS], numbers)
    seen = encode(cut(kept, [0] * len(kept))[:CALIBRATION_SNIPPETS], numbers)
    save(options.output / "text_test.npz", test)
    save(options.output / "text_calibration.npz", seen)
    module = train(kept, numbers, options.steps)
    export_text(module, options.output / "text_encoder.onnx")
    size = sum(parameter.numel() for parameter in module.parameters())
    print(
        f"text_encoder: {size} parameters, {accuracy(module, test):.1f} % of {len(test.labels)} "
        f"test snippets, {time.perf_counter() - start:.0f} s"
    )


if __name__ == "__main__":
    main()
