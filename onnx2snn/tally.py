"""Totals of a comparison with the ANN, per batch, that add up exactly in any order of work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx2snn.ops.errors import DataError
from onnx2snn.runtime.classes import predicted
from onnx2snn.runtime.energy import Account

Outputs = Mapping[str, NDArray[Any]]


def _check_shapes(found: Outputs, reference: Outputs) -> None:
    for name, value in reference.items():
        if found[name].shape != value.shape:
            raise DataError(
                f"output '{name}' has shape {list(value.shape)} in the ANN and "
                f"{list(found[name].shape)} in the SNN: its size depends on data; leave it out of "
                "the model"
            )


@dataclass
class Tally:
    """Running totals of a comparison with the ANN.

    hits:       samples whose class is the label.
    agreed:     samples whose class is the ANN's.
    classified: whether every sample has one class, so that labels mean something.
    squares:    sum of squared output differences and of squared ANN outputs.
    steps:      time steps until exit, summed over samples; counted with early exit only.
    """

    hits: int = 0
    agreed: int = 0
    samples: int = 0
    classified: bool = True
    squares: tuple[float, float] = (0.0, 0.0)
    steps: int = 0
    account: Account = field(default_factory=lambda: Account(0, 0, 0.0, 0, 0))

    def add(self, found: Outputs, reference: Outputs, labels: NDArray[Any] | None) -> None:
        """Add one batch of outputs."""
        _check_shapes(found, reference)
        first = next(iter(reference))
        classes, expected = predicted(found[first]), predicted(reference[first])
        self.samples += len(classes)
        self.agreed += int((classes == expected).all(axis=tuple(range(1, classes.ndim))).sum())
        self.classified = self.classified and classes.ndim == 1
        if labels is not None and classes.shape == labels.shape:
            self.hits += int((classes == labels).sum())
        error, norm = self.squares
        for name, value in reference.items():
            error += float(np.square(found[name].astype(np.float64) - value).sum())
            norm += float(np.square(value.astype(np.float64)).sum())
        self.squares = (error, norm)

    def __add__(self, other: Tally) -> Tally:
        error, norm = other.squares
        return Tally(
            hits=self.hits + other.hits,
            agreed=self.agreed + other.agreed,
            samples=self.samples + other.samples,
            classified=self.classified and other.classified,
            squares=(self.squares[0] + error, self.squares[1] + norm),
            steps=self.steps + other.steps,
            account=self.account + other.account,
        )

    @property
    def relative_error(self) -> float:
        """||snn - ann|| / ||ann|| over all outputs and samples."""
        error, norm = self.squares
        return float(np.sqrt(error / max(norm, 1e-300)))

    def to_json(self) -> dict[str, Any]:
        """All fields; JSON keeps every bit of a float."""
        return asdict(self)

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Tally:
        """The tally that `to_json` wrote."""
        squares, account = content["squares"], Account(**content["account"])
        return Tally(**{**content, "squares": (squares[0], squares[1]), "account": account})


@dataclass(frozen=True)
class BatchTally:
    """One batch.

    reference: the ANN against itself.
    points:    the SNN by time step.
    early:     the SNN with early exit, None without.
    """

    reference: Tally
    points: Mapping[int, Tally]
    early: Tally | None = None
    labelled: bool = False

    def __add__(self, other: BatchTally) -> BatchTally:
        early = self.early + other.early if self.early and other.early else None
        points = {t: tally + other.points[t] for t, tally in self.points.items()}
        labelled = self.labelled and other.labelled
        return BatchTally(self.reference + other.reference, points, early, labelled)

    def to_json(self) -> dict[str, Any]:
        """A line of a resume file."""
        return {
            "reference": self.reference.to_json(),
            "points": {str(t): tally.to_json() for t, tally in self.points.items()},
            "early": None if self.early is None else self.early.to_json(),
            "labelled": self.labelled,
        }

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> BatchTally:
        """The totals that `to_json` wrote."""
        early = content["early"]
        return BatchTally(
            Tally.from_json(content["reference"]),
            {int(t): Tally.from_json(tally) for t, tally in content["points"].items()},
            None if early is None else Tally.from_json(early),
            bool(content["labelled"]),
        )
