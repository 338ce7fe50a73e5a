"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MISSING = "-"


def cell(row: Mapping[str, Any] | None, text: str) -> str:
    """`text` with the figures of a row; `MISSING` where it was not measured."""
    return text.format(**row) if row else MISSING


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are text already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
