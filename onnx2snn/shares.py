"""An evaluation's batches shared among processes, and kept in a file to resume from.

Batches are numbered; every process takes its own, and totals are added up in the order of
the numbers. So they are the same, bit for bit, for any number of processes and resumptions.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed

from onnx2snn.ops.errors import DataError
from onnx2snn.tally import BatchTally


@dataclass(frozen=True)
class Workers:
    """The processes that share the work: this one is `rank` of `count`."""

    rank: int = 0
    count: int = 1

    def gather(self, mine: Mapping[int, BatchTally]) -> dict[int, BatchTally]:
        """The batches of all processes, in every one of them."""
        if self.count == 1:
            return dict(mine)
        gathered: list[Any] = [None] * self.count
        lines = {index: tally.to_json() for index, tally in mine.items()}
        torch.distributed.all_gather_object(gathered, lines)
        return {
            int(index): BatchTally.from_json(content)
            for part in gathered
            for index, content in part.items()
        }


def join_workers() -> Workers:
    """The processes that torchrun started, joined by gloo; this one alone elsewhere."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or not torch.distributed.is_available():
        return Workers()
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo")
    return Workers(torch.distributed.get_rank(), torch.distributed.get_world_size())


def leave_workers() -> None:
    """The end of what `join_workers` began."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@dataclass
class Ledger:
    """Finished batches in a text file, one JSON object a line, after a line that says of what.

    Every process appends to a file of its own, `path` with its rank behind, and reads all.
    """

    path: Path
    identity: Mapping[str, Any]
    workers: Workers = Workers()
    known: dict[int, BatchTally] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path in [self.path, *sorted(self.path.parent.glob(f"{self.path.name}.rank*"))]:
            if path.exists():
                self._read(path)

    @property
    def _own(self) -> Path:
        if self.workers.count == 1:
            return self.path
        return self.path.with_name(f"{self.path.name}.rank{self.workers.rank}")

    def _read(self, path: Path) -> None:
        lines = path.read_text().splitlines()
        try:
            identity = json.loads(lines[0]) if lines else dict(self.identity)
        except ValueError as error:
            raise DataError(f"{path} is no file to resume from; name another") from error
        if identity != json.loads(json.dumps(dict(self.identity))):
            raise DataError(
                f"{path} belongs to another evaluation (model, data, batch size or steps differ); "
                "name another file or delete it"
            )
        for line in lines[1:]:
            try:
                content = json.loads(line)
                self.known[int(content["batch"])] = BatchTally.from_json(content)
            except (ValueError, KeyError, TypeError):
                continue  # a line cut off by an interruption: its batch is done again

    def add(self, index: int, tally: BatchTally) -> None:
        """Note a finished batch, on disk when this returns."""
        new = not self._own.exists() or not self._own.stat().st_size
        cut = not new and self._own.read_bytes()[-1:] != b"\n"
        with self._own.open("a") as stream:
            if new:
                stream.write(json.dumps(dict(self.identity)) + "\n")
            line = json.dumps({"batch": index, **tally.to_json()})
            stream.write(("\n" if cut else "") + line + "\n")
            stream.flush()
            os.fsync(stream.fileno())
