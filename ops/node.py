"""The node record that every room passes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Node:
    """One operator application, free of any framework.

    `inputs` and `outputs` are tensor names, "" standing for an absent optional one.
    `attributes` hold Python values: int, float, str, list of these, or numpy array.
    """

    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    domain: str = ""
